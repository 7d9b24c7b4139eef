"""Run the cases of this corpus with a wscheck executable and hold its answers against their truth.

    score.py WSCHECK [case ...] [--jobs N] [--keep FOLDER] [--list] [--ci NODE_MODULES]

Python 3.11, standard library. The first run installs what the servers need into servers/node_modules and servers/.venv.
With --ci, it runs only the cases that are marked so, with the node packages of this folder, and installs nothing.
Exit code 0 only if every case that ran was right. How truth is written: README.md.
"""
import argparse
import base64
import concurrent.futures
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SERVERS = HERE / "servers"
PYTHON = SERVERS / ".venv" / "bin" / "python"
CLASSES = ("ERROR", "WRONG PLACE", "FALSE PASS", "FALSE ALARM", "INCONCLUSIVE", "WRONG CAUSE")  # the gravest first
PLURAL = {"ERROR": "errors", "WRONG PLACE": "wrong place", "FALSE PASS": "false passes", "FALSE ALARM": "false alarms",
          "INCONCLUSIVE": "inconclusive", "WRONG CAUSE": "wrong cause"}
SEVERITIES = ["note", "warning", "error"]
FORMATS = {"verify": ["json=run.json", "ndjson=run.ndjson", "html=run.html", "junit=run.xml", "markdown=run.md", "sarif=run.sarif"],
           "load": ["json=run.json", "html=run.html", "junit=run.xml", "markdown=run.md"]}
ports, ports_lock = set(), threading.Lock()


def use_packages(folder):
    """Copies the servers beside a link to installed node packages."""
    global SERVERS
    copy = pathlib.Path(tempfile.mkdtemp(prefix="field-servers-"))
    for file in SERVERS.iterdir():
        if file.is_file():
            shutil.copy(file, copy)
    (copy / "node_modules").symlink_to(pathlib.Path(folder).absolute())
    SERVERS = copy


def install():
    venv = PYTHON.parent.parent
    for folder, listed, commands in (
            (SERVERS / "node_modules", SERVERS / "package.json",
             [["npm", "install", "--omit=dev", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]]),
            (venv, SERVERS / "requirements.txt",
             [[sys.executable, "-m", "venv", venv], [PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", "requirements.txt"]])):
        stamp, wanted = folder / "installed-from", hashlib.sha256(listed.read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            print(f"installing {folder.relative_to(HERE)}", file=sys.stderr)
            for command in commands:
                subprocess.run(command, cwd=SERVERS, check=True, stdout=subprocess.DEVNULL)
            stamp.write_text(wanted)


def free_port():
    with ports_lock:
        while True:
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                port = s.getsockname()[1]
            if port not in ports:
                ports.add(port)
                return port


def signed(subject, key, expires_in=None):
    """A JSON web token (HS256), so that none stands in the files."""
    part = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")
    now = int(time.time())
    claims = {"sub": subject, "iat": now} if expires_in is None else {"sub": subject, "iat": now - 90_000, "exp": now + int(expires_in)}
    text = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(hmac.new(key.encode(), text, hashlib.sha256).digest())).decode()


class Places(dict):
    """{port}, {port2}... are free ports; {url} is the address of {port}; {jwt:SUBJECT:KEY} is a signed token, {jwt:SUBJECT:KEY:SECONDS} one that expires then."""

    def fill(self, text):
        return re.sub(r"\{(port\d*|url|jwt:[^:}]+:[^}]+)\}", lambda m: self[m[1]], text)

    def __missing__(self, name):
        if name.startswith("jwt:"):
            return signed(*name.split(":")[1:])
        self[name] = f"http://127.0.0.1:{self['port']}" if name == "url" else str(free_port())
        return self[name]


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", int(port)), 0.5).close()
        return True
    except OSError:
        return False


def end(process):
    for sign, patience in ((signal.SIGTERM, 2), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            pass
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def drive(wscheck, case, folder):
    """What wscheck answered: exit code, text, report, every artefact."""
    places, started = Places(), []
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("WSCHECK", "NEXT_PUBLIC", "GITHUB_")) and k not in ("FORCE_COLOR", "CI")}
    try:
        for number, command in enumerate(case["start"]):
            words = [places.fill(word) for word in command]
            words[0] = {"python": str(PYTHON if PYTHON.exists() else sys.executable)}.get(words[0], words[0])
            with open(folder / ("server.log" if not number else f"server-{number}.log"), "wb") as out, open(folder / f"server-{number}.err", "wb") as err:
                started.append(subprocess.Popen(words, cwd=SERVERS, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
                                                env=outside | {"PYTHONUNBUFFERED": "1"}))
            if case.get("in_turn"):
                wait_for(places, started)
        wait_for(places, started)
        if "toml" in case:
            shutil.copy(HERE / "toml" / case["toml"], folder / "wscheck.toml")
        words = [wscheck] + [places.fill(word) for word in case["wscheck"]] + ["--format", "terminal"]
        for form in FORMATS[case["wscheck"][0]]:
            words += ["--format", form]
        variables = {k: places.fill(v) for k, v in case.get("env", {}).items()}
        run = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                               env=outside | {"NO_COLOR": "1", "COLUMNS": "160", "PYTHONUTF8": "1"} | variables)
        try:
            out, err = run.communicate(timeout=case.get("deadline", 90))
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"no answer within {case.get('deadline', 90)} s")
        finally:
            end(run)
    finally:
        for process in reversed(started):
            end(process)
    (folder / "stdout.txt").write_bytes(out)
    (folder / "stderr.txt").write_bytes(err)
    artefacts = {p.name: p.read_text("utf-8", "replace") for p in sorted(folder.glob("run.*"))}
    artefacts |= {"stdout": out.decode("utf-8", "replace"), "stderr": err.decode("utf-8", "replace")}
    try:
        report = json.loads(artefacts.get("run.json", ""))
    except ValueError:
        report = None
    return run.returncode, artefacts["stdout"] + "\n" + artefacts["stderr"], report, artefacts


def wait_for(places, started):
    deadline = time.monotonic() + 20
    waiting = {places[name] for name in places if name.startswith("port")} - places.setdefault("up", set())
    while waiting:
        if any(p.poll() is not None for p in started):
            raise RuntimeError("a server ended before the run")
        if time.monotonic() > deadline:
            raise RuntimeError("a server did not come up within 20 s")
        for port in list(waiting):
            if listening(port):
                waiting.discard(port)
                places["up"].add(port)
        time.sleep(0.05)


def stands(wanted, findings):
    """`rule`, `rule:error` or `rule:warning+` among the findings."""
    rule, _, least = wanted.partition(":")
    for finding in findings:
        if finding["rule"] == rule and (
                not least or finding["severity"] == least
                or least.endswith("+") and SEVERITIES.index(finding["severity"]) >= SEVERITIES.index(least[:-1])):
            return True
    return False


def differences(case, code, text, report, artefacts):
    truth = case["truth"]
    flat = re.sub(r"\s+", " ", text)
    found = lambda pattern, where: re.search(pattern, where, re.I)
    if "Traceback (most recent call last)" in text or code not in (0, 1, 3, 99, *truth["exit"]):
        yield "ERROR", f"exit {code}: {flat.strip()[-160:]}"
        return
    if code not in truth["exit"]:
        kind = {0: "FALSE PASS", 1: "FALSE ALARM", 3: "INCONCLUSIVE", 99: "FALSE ALARM"}.get(code, "ERROR")
        yield kind, f"exit {code}, wanted {' or '.join(map(str, truth['exit']))}"
    for pattern in truth.get("secrets", []):
        where = [name for name, content in artefacts.items() if re.search(pattern, content)]
        if where:
            yield "WRONG PLACE", f"a secret ({pattern}) in {', '.join(where)}"
    if report is None:
        yield "ERROR", "no JSON report"
        return
    wanted = truth.get("scenarios", {})
    seen = {s["id"]: s for s in report.get("scenarios", [])}
    named = [after for flag, after in zip(case["wscheck"], case["wscheck"][1:]) if flag == "--scenario"]
    for name in dict.fromkeys([*named, *wanted]):
        accepted = wanted.get(name, wanted.get("*"))
        if name != "*" and name not in seen and accepted and "inconclusive" not in accepted:
            yield "INCONCLUSIVE", f"{name} was not tried, wanted {' or '.join(accepted)}"
    if wanted and not named and not seen:
        yield "INCONCLUSIVE", "no scenario was tried"
    for name, scenario in seen.items():
        accepted = wanted.get(name, wanted.get("*"))
        got = scenario["verdict"]
        if accepted and got not in accepted:
            kind = {"passed": "FALSE PASS", "failed": "FALSE ALARM"}.get(got, "INCONCLUSIVE")
            reason = scenario.get("reason") or ""
            yield kind, f"{name} {got}, wanted {' or '.join(accepted)}{': ' + reason[:90] if reason else ''}"
    findings = report.get("findings", [])
    for rules in truth.get("must", []):
        if not any(stands(rule, findings) for rule in rules):
            yield ("FALSE PASS" if code == 0 else "WRONG CAUSE"), f"no {' or '.join(rules)} found"
    for rule in truth.get("never", []):
        if stands(rule, findings):
            told = next((f.get("title") or f.get("message") or "" for f in findings if f["rule"] == rule.split(":")[0]), "")
            yield "FALSE ALARM", f"{rule} found {told[:80]}"
    for pattern in truth.get("says", []):
        if not found(pattern, flat):
            yield "WRONG CAUSE", f"does not say /{pattern}/"
    for pattern in truth.get("never_says", []):
        if found(pattern, flat):
            yield "WRONG CAUSE", f"says /{pattern}/"
    if "ends" in truth:
        summary = re.search(r"^\S (?:PASSED|FAILED|INCONCLUSIVE|SKIPPED)\b.*", text, re.M | re.S)
        if not found(truth["ends"], re.sub(r"\s+", " ", summary[0] if summary else "")):
            yield "WRONG CAUSE", f"the summary does not say /{truth['ends']}/"


def examine(wscheck, case, keep):
    folder = pathlib.Path(keep, case["case"]) if keep else pathlib.Path(tempfile.mkdtemp(prefix="field-"))
    if keep:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    began = time.monotonic()
    try:
        wrong = list(differences(case, *drive(wscheck, case, folder)))
    except (RuntimeError, OSError) as error:
        wrong = [("ERROR", str(error))]
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    wrong.sort(key=lambda w: CLASSES.index(w[0]))
    return case, wrong, time.monotonic() - began


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("wscheck")
    options.add_argument("case", nargs="*")
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--keep", help="keep what each run wrote beneath this folder")
    options.add_argument("--ci", metavar="NODE_MODULES", help="run the cases for CI, with these node packages")
    options.add_argument("--list", action="store_true", help="name the cases with their why, and run none")
    asked = options.parse_args()
    corpus = json.loads((HERE / "cases.json").read_text("utf-8"))
    cases = [c for c in corpus["cases"] if not asked.case or c["case"] in asked.case or c["kind"] in asked.case]
    if asked.ci:
        cases = [c for c in cases if c.get("ci")]
    if asked.list:
        for case in cases:
            print(f"{case['case']:<32} {case['class']:<8} {case['why']}")
        return 0
    if not cases:
        sys.exit(f"no such case: {' '.join(asked.case)}")
    wscheck = str(pathlib.Path(shutil.which(asked.wscheck) or asked.wscheck).absolute())
    if asked.ci:
        use_packages(asked.ci)
    else:
        install()
    count = dict.fromkeys(CLASSES, 0)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        for done in [pool.submit(examine, wscheck, case, asked.keep) for case in cases]:
            case, wrong, seconds = done.result()
            verdict = wrong[0][0] if wrong else "ok"
            if wrong:
                count[verdict] += 1
            print(f"{verdict:<13} {case['case']:<32} {seconds:4.1f} s  {case['class']:<8}{'; '.join(text for _, text in wrong)}".rstrip(), flush=True)
    right = len(cases) - sum(count.values())
    healthy = [c for c in cases if c["class"] == "healthy"]
    print(f"{len(healthy)} of {len(cases)} cases healthy, {time.monotonic() - began:.0f} s")
    if asked.ci:
        shutil.rmtree(SERVERS)
    print(f"{corpus['kind']} {right}/{len(cases)} right; " + "; ".join(f"{PLURAL[c]} {count[c]}" for c in ("FALSE PASS", "FALSE ALARM", "WRONG CAUSE", "WRONG PLACE", "INCONCLUSIVE", "ERROR")))
    return 0 if right == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
