"""Program texts around a family's answer: the ways in which contestants read and print.

The numbers are code_contests' languages. Only Python programs do what they claim; the others are
there to be left out of the corpus.
"""

from __future__ import annotations

from textwrap import indent

from wmtp_assets.sample.problems import Family

UNKNOWN, PYTHON2, CPP, PYTHON3, JAVA = range(5)

_STYLES: tuple[tuple[int, str], ...] = (
    (
        PYTHON3,
        "def answer(a):\n{body}\n\n\nfor _ in range(int(input())):\n"
        "    a = {parse3}\n    print(answer(a))\n",
    ),
    (
        PYTHON2,
        "def answer(a):\n{body}\n\nt = int(raw_input())\nfor i in xrange(t):\n"
        "    a = {parse2}\n    print answer(a)",
    ),
    (
        PYTHON3,
        "import sys\n\n\ndef answer(a):\n{body}\n\n\ndef main():\n"
        '    lines = sys.stdin.read().split("\\n")\n    t = int(lines[0])\n'
        "    result = []\n    for line in lines[1:t + 1]:\n        a = {parse_line}\n"
        "        result.append(str(answer(a)))\n"
        '    print("\\n".join(result))\n\n\nif __name__ == "__main__":\n    main()\n',
    ),
)


def python_program(body: str, family: Family, k: int, style: int) -> tuple[int, str]:
    """Language and text of `body` with `k` filled in; styles repeat after the third."""
    language, frame = _STYLES[style % len(_STYLES)]
    if family.words:
        parse3, parse2, parse_line = "input().strip()", "raw_input().strip()", "line.strip()"
    else:
        parse3 = "list(map(int, input().split()))"
        parse2 = "map(int, raw_input().split())"
        parse_line = "[int(x) for x in line.split()]"
    text = frame.format(
        body=indent(body.format(k=k), "    "),
        parse3=parse3,
        parse2=parse2,
        parse_line=parse_line,
    )
    return language, text


def other_program(language: int, k: int) -> str:
    """A text in a language that the corpus does not take."""
    if language == CPP:
        return (
            "#include <bits/stdc++.h>\nusing namespace std;\nint main() {\n  int t;\n"
            "  cin >> t;\n  string line;\n  getline(cin, line);\n  while (t--) {\n"
            "    getline(cin, line);\n    stringstream in(line);\n"
            f"    cout << line.size() % {k} << endl;\n  }}\n}}\n"
        )
    if language == JAVA:
        return (
            "import java.util.Scanner;\n\npublic class Main {\n"
            "  public static void main(String[] args) {\n"
            "    Scanner in = new Scanner(System.in);\n    int t = in.nextInt();\n"
            f"    System.out.println(t % {k});\n  }}\n}}\n"
        )
    return f"10 INPUT T\n20 PRINT T - INT(T / {k}) * {k}\n30 END\n"
