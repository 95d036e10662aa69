"""Makes a 32-bit system call from machine code (`int 0x80`).

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
Machine: x86_64
"""

import ctypes
import mmap

# mov eax, 20 (getpid); int 0x80; ret
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
print("ESCAPED: the call was made:", ctypes.CFUNCTYPE(ctypes.c_int)(address)())
