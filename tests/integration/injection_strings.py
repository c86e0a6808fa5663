"""Injection strings, by the interpreter that they attack. All were written for this project.

Each would leave a trace if it worked: a line that begins with ``MARK``, a key or a file of that name, the product of two
numbers, or a delay.
"""

MARK = "INJECTED"
PRODUCT = "1337*7331"  # 9801547, which no response contains by chance
RESULT = "9801547"
CANARY = f"/tmp/{MARK}"

_ENDS = ["'", '"', "`", "')", '")', "'))", "1", "1)", "x'", 'x"', "\\'", "%27"]  # what closes the text around a value

SQL = [
    *(f"{end} OR 1=1 -- {MARK}" for end in _ENDS),
    *(f"{end}; DROP TABLE students; --" for end in _ENDS),
    "' UNION SELECT password FROM users --",
    "1 AND (SELECT COUNT(*) FROM information_schema.tables) > 0",
    "'; WAITFOR DELAY '0:0:9' --",
    "1; SELECT pg_sleep(9)",
    "' AND SLEEP(9) #",
    f"'||({PRODUCT})||'",
    "{'$gt': ''}",
    '{"$where": "sleep(9000)"}',
    "'; return true; var x='",
    "admin'/**/--",
]

_COMMANDS = [f"touch {CANARY}", f"echo {MARK} > {CANARY}", "sleep 9"]

SHELL = [
    *(f"{start}{command}{end}" for command in _COMMANDS for start, end in (("; ", ""), ("| ", ""), ("&& ", ""), ("$(", ")"))),
    *(
        f"{start}{command}{end}"
        for command in _COMMANDS
        for start, end in (("`", "`"), ("' ; ", " '"), ("\n", "\n"), ("%0a", ""))
    ),
    f"-o ProxyCommand={CANARY}",
    "--output=/etc/cron.d/x",
    f"$((${{x:={PRODUCT}}}))",
    "${IFS}&&${IFS}id",
    "() { :; }; /bin/id",
    f"<(touch {CANARY})",
    f"{{touch,{CANARY}}}",
    "!!",
]

LDAP = [
    *("*", "*)", "*)(", "*)(&", "*))%00", "*)(uid=*", "*)(uid=*))(|(uid=*", "admin*", "admin)(&)"),
    *("admin)(!(&(|", "x)(|(cn=*))"),
    *("(|(uid=*)(cn=*))", "(&(objectClass=*))", "(!(uid=admin))", "*(|(mail=*))", "*()|%26'"),
    *("*)(objectClass=*", "\\2a\\29\\28"),
    *("\\00", "uid=admin,ou=people,dc=x", "cn=*,dc=x", "#admin", " admin", "admin ", "a+b=c", "a;b<c>d", "%2a%29%28uid%3d%2a"),
    *("' or '1'='1", "//user[name()='x' or 1=1]", "x' or count(//*)=1 or 'a'='b", "']|//*|//*['"),
]

_SCRIPT = f"document.title={PRODUCT}"

XSS = [
    *(f"{start}<script>{_SCRIPT}</script>" for start in ("", "'>", '">', "-->", "</title>", "</textarea>", "]]>")),
    *(f"<{tag} {event}={_SCRIPT}>" for tag, event in (("img src=x", "onerror"), ("svg", "onload"), ("body", "onload"))),
    *(f"<{tag} {event}={_SCRIPT}>" for tag, event in (("input autofocus", "onfocus"), ("details open", "ontoggle"))),
    *(
        f"{scheme}:{_SCRIPT}"
        for scheme in ("javascript", "JaVaScRiPt", "java\tscript", "java\nscript", "\x01javascript", "vbscript")
    ),
    "data:text/html;base64,PHNjcmlwdD4xPC9zY3JpcHQ+",
    f"<scr<script>ipt>{_SCRIPT}</scr</script>ipt>",
    f"<iframe srcdoc='<script>{_SCRIPT}</script>'>",
    f"\\u003cscript\\u003e{_SCRIPT}",
    f"&lt;script&gt;{_SCRIPT}",
    f"%3Cscript%3E{_SCRIPT}",
    "＜script＞alert(1)＜/script＞",
    "<math><mi//xlink:href='data:x,1'>",
    "<!--#exec cmd='id' -->",
    "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>",
]

PATHS = [
    *("../" * depth + "etc/passwd" for depth in (1, 2, 3, 5, 8, 13)),
    *("..\\" * depth + "windows\\win.ini" for depth in (1, 3, 8)),
    *("%2e%2e%2f" * depth + "etc/passwd" for depth in (1, 3, 8)),
    *("....//" * depth + "etc/passwd" for depth in (1, 3)),
    *("..%c0%af..%c0%afetc/passwd", "..%252f..%252fetc%252fpasswd", "/etc/passwd", "//etc/passwd", "/etc/passwd%00.json"),
    *("/proc/self/environ", "/dev/null", "file:///etc/passwd", "C:\\boot.ini", "\\\\host\\share", "~/.ssh/id_rsa", "NUL", "."),
    *("..", "...", "/", "http://169.254.169.254/latest/meta-data", "gopher://127.0.0.1:6379/_FLUSHALL", "..;/..;/manager"),
]

FORMATS = [
    *("%s", "%d", "%x", "%n", "%p", "%99999999d", "%s" * 20, "%08x." * 10, "%(message)s", "%(levelname)s", "%(x)s", "%"),
    *("%%", "%c%c"),
    *("{}", "{0}", "{1}", "{}{}{}{}", "{message}", "{0.__class__}", "{0.__class__.__mro__}", "{self.__init__.__globals__}"),
    *("{", "}"),
    *("{:99999999d}", "{!r}", "{0[secret]}", "$name", "${name}", "@name@", "%1$s %2$s", "\\x41\\n", "#{name}"),
    *("%{name}", "&(name)"),
]

_BREAKS = [
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\r\n\r\n",
    "\x85",
    "\u2028",
    "\u2029",
    "\x0b",
    "\x0c",
    "\x1e",
    "%0d%0a",
    "\\r\\n",
    "嘊嘍",
]

LINES = [
    *(f"x{line}{MARK} 2026-10-28T12:00:00.000Z ERROR api: forged" for line in _BREAKS),
    *(f"x{line}Set-Cookie: {MARK}=1" for line in _BREAKS),
    f"x\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nX: {MARK}",
    f"x\x1b[2J\x1b[1;31m{MARK}\x1b[0m",
    f"x\x1b]0;{MARK}\x07",
    f"x\x9b31m{MARK}",
    f"x\x08\x08\x08{MARK}",
]

_WORDS = [("SET", MARK, "1"), ("FLUSHALL",), ("CONFIG", "SET", "dir", "/tmp"), ("SLAVEOF", "127.0.0.1", "1"), ("SHUTDOWN",)]
_WORDS += [
    ("EVAL", f"return redis.call('SET','{MARK}','1')", "0"),
    ("SCRIPT", "FLUSH"),
    ("DEBUG", "SEGFAULT"),
    ("MODULE", "LOAD", "/x"),
]

REDIS = [
    *(f"\r\n*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words) for words in _WORDS),
    *(f"x\r\n{' '.join(words)}\r\n" for words in _WORDS),
    *(
        "*",
        "?",
        "[a-z]",
        "x*",
        "}",
        "{",
        "}{",
        "x}:y{",
        "mastery:*",
        f"x}}:{MARK}",
        f"mastery:{{demo}}:{MARK}",
        "a:b:c",
        "\x00",
    ),
]

_LUA = [
    f"redis.call('SET','{MARK}','1')",
    f"os.execute('touch {CANARY}')",
    f"error({PRODUCT})",
    f"return {PRODUCT}",
    "while true do end",
]

LUA = [
    *(
        f"{start}{code}{end}"
        for code in _LUA
        for start, end in (("'..", "..'"), ('") ', ' --"'), ("]] ", " --[["), ("\n", "\n"), ("", ""))
    ),
    *("'] = nil --", "ARGV[1]", "KEYS[1]", "_G", "#", "[[", "]]", "--[==[", "\\0", "1e309"),
]

TEMPLATES = [
    *(
        f"{start}{PRODUCT}{end}"
        for start, end in (("{{", "}}"), ("{%", "%}"), ("${", "}"), ("#{", "}"), ("<%=", "%>"), ("*{", "}"))
    ),
    *(
        f"{start}{PRODUCT}{end}"
        for start, end in (("@(", ")"), ("{{=", "}}"), ("[[", "]]"), ("~{", "}"), ("{$", "$}"), ("{@", "@}"))
    ),
    *(
        f"{start}{PRODUCT}{end}"
        for start, end in (("`${", "}`"), ("{#", "#}"), ("<#assign x=", ">"), ("#set($x=", ")"), ("$[", "]"))
    ),
    *(f"${{{name}:{MARK}}}" for name in ("jndi:ldap://127.0.0.1:1/x", "env", "sys", "lower", "::-j", "java", "script:js")),
    "{{config}}",
    "{{request.application.__globals__}}",
    "{{''.__class__.__mro__[1].__subclasses__()}}",
    "{% import os %}{{os.system('id')}}",
    "{{cycler.__init__.__globals__.os.popen('id').read()}}",
    f"__import__('os').system('touch {CANARY}')",
    f"cos\nsystem\n(S'touch {CANARY}'\ntR.",
    f"!!python/object/apply:os.system ['touch {CANARY}']",
    f"=cmd|'/c {CANARY}'!A1",
]

UNICODE = [
    *("\ufeffx", "x\u200by", "x\u200dy", "\u202etxt.exe", "\u2066x\u2069", "x\u00ady", "\u0000", "x\u0000y", "e\u0301"),
    *("é", "ﬁ", "K"),
    *("ＳＥＬＥＣＴ", "１２３", "٣", "s\u2010604916", "аdmin", "ı", "İ", "ß", "ǅ", "🎓", "👩\u200d🏫", "\U000e0041", "\ufffe"),
    *("\uffff", "\U0010ffff"),
    *("Z" + "\u0315" * 60, "ﷺ", "\ue000", "𝓍", "日本語", "עברית", "\u3000", "\xa0", "\u180e", "\x7f", "\x80", "\xff"),
    *("x" * 51, "é" * 50),
]

BY_TARGET = {
    "SQL": SQL,
    "shell": SHELL,
    "LDAP and XPath": LDAP,
    "XSS and XML": XSS,
    "paths": PATHS,
    "formats": FORMATS,
    "lines and terminals": LINES,
    "Redis": REDIS,
    "Lua": LUA,
    "templates and objects": TEMPLATES,
    "Unicode": UNICODE,
}
STRINGS = sorted({text for texts in BY_TARGET.values() for text in texts})
