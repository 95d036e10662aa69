"""The text that the sample's tokenizer learns its pieces from: Python and plain prose, our own.

Changing one character here changes the tokenizer's bytes, and with them the rows that pass the
length filter: raise FORMAT_VERSION in the package's __init__ when you do.
"""

from __future__ import annotations

# Every printable ASCII character becomes a piece of its own, and these do too; any other
# character is spelled in byte pieces, as LLaMA does.
EXTRA_CHARACTERS = "àäéñöüαβπ–’“”…≤≥≠×→中文"

PROSE = """\
You are given a list of n integers and a number k. Print the number of elements that are not
less than k. The first line of the input contains a single integer t, the number of test cases.
Each test case consists of two lines. The first line of each test case contains two integers n
and k. The second line contains n space-separated integers. It is guaranteed that the sum of n
over all test cases does not exceed 200000. For each test case print one integer: the answer to
the problem. If there are several answers, print any of them. If there is no such value, print -1.
In the first example the answer is 3, because the first, the second and the last element satisfy
the condition. A string consists of lowercase English letters. The length of the string is at
most 100. Print the string in reverse order. Find the smallest positive integer that is divisible
by both numbers. Count the pairs of positions such that the values at the positions are equal.
There are many students in the school and each of them has a number. The teacher wants to know how
many different numbers there are. Output the maximum total value that can be reached when every
item is taken at most once. You should write a function that returns the sum of the digits of a
number. The input is given in the following format from standard input. All values in the input
are integers. Output the result as an integer on its own line. Note that the order matters.
Input: and Output: are followed by the text of one test. The constraints are the same for every
subtask. Write a program that reads the numbers and then prints the largest one, the smallest one
and the difference between them. A robot stands at the origin of a grid and moves one step at a
time. Given a sequence of moves, find the distance from the origin after the last move.
"""

CODE = '''\
import sys


def solve(n, values):
    total = 0
    for value in values:
        if value % 2 == 0:
            total += value
    return total


def main():
    data = sys.stdin.read().split()
    n = int(data[0])
    values = [int(x) for x in data[1:n + 1]]
    print(solve(n, values))


if __name__ == "__main__":
    main()

t = int(input())
for _ in range(t):
    n, k = map(int, input().split())
    a = list(map(int, input().split()))
    a.sort()
    answer = 0
    for i in range(len(a)):
        if a[i] <= k:
            answer = max(answer, a[i])
        else:
            break
    print(answer)

n = int(raw_input())
count = {}
for word in raw_input().split():
    count[word] = count.get(word, 0) + 1
print max(count.values())
result = []
while n > 0:
    result.append(str(n % 10))
    n //= 10
print("".join(result))
for i in xrange(n):
    print i
s = input().strip()
if s == s[::-1]:
    print("YES")
else:
    print("NO")
left, right = 0, len(s) - 1
while left < right:
    if s[left] != s[right]:
        break
    left, right = left + 1, right - 1
dp = [[0] * (m + 1) for _ in range(n + 1)]
for i in range(1, n + 1):
    for j in range(1, m + 1):
        dp[i][j] = max(dp[i - 1][j], dp[i][j - 1])
print(dp[n][m])


def gcd(a, b):
    """Return the greatest common divisor of a and b."""
    while b:
        a, b = b, a % b
    return a


assert gcd(12, 18) == 6
print(sum(1 for x in a if x > 0), len(set(a)))
'''
