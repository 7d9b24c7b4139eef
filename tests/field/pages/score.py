"""Runs the cases of truth.json and compares: score.py WSCHECK [case ...] [-j N] [--fifth]. Exit code 0 only if all are right.

--corpus ../protocols runs the cases of another folder that has a server.mjs, built pages and a truth.json.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
corpus = HERE
ANSI = re.compile(r"\x1b\[[0-9;]*m")
RANK = {"note": 0, "warning": 1, "error": 2}


class Server:
    """server.mjs on ephemeral ports, one process per case: no case sees the users of another."""

    def __enter__(self):
        self.process = subprocess.Popen(["node", "server.mjs"], cwd=corpus, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        if not line:
            self.__exit__()
            raise RuntimeError("server.mjs printed no ports")
        return json.loads(line)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def toml(steps):
    out = []
    for step in steps:
        out.append("[[browser.step]]")
        out += [f"{key} = {json.dumps(value)}" for key, value in step.items()]
    return "\n".join(out) + "\n"


def run(wscheck, case):
    """What wscheck said: the report, its terminal output and its exit code."""
    with contextlib.nullcontext({}) if "har" in case else Server() as ports, tempfile.TemporaryDirectory() as folder:
        fill = lambda text: re.sub(r"\{(\w+)\}", lambda m: f"http://127.0.0.1:{ports[m[1]]}" if m[1] in ports else m[0], text)
        base = f"http://127.0.0.1:{ports.get(case.get('policy'), 0)}"
        steps = [{k: fill(v) if isinstance(v, str) else v for k, v in s.items()} for s in case.get("steps", [])]
        if steps:
            Path(folder, "wscheck.toml").write_text(toml(steps), encoding="utf-8")
        report = Path(folder, "report.json")
        if "har" in case:
            command = [wscheck, "har", *(str(corpus / f) for f in case["har"])]
        else:
            command = [wscheck, "browser", *(f"{base}/{page}" for page in case.get("pages", []))]
        command += [fill(a).replace("HERE", str(corpus)) for a in case.get("args", [])] + ["--format", "terminal", "--format", f"json={report}"]
        if "driver" in case:
            command += ["--", "node", str(corpus / case["driver"]), *(fill(f"{base}/{page}") for page in case.get("drives", []))]
        env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "400", **case.get("env", {})}
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            text, _ = process.communicate(timeout=case.get("deadline", 75))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
            return None, "it ran past the deadline", 124
        data = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
        return data, ANSI.sub("", text), process.returncode


def place(frame):
    if not frame or not frame.get("file"):
        return None
    return f"{frame['file'].split('?')[0].removeprefix('./')}:{frame['line']}"


def same(got, want):
    return got == want or got.endswith("/" + want)


def anyre(patterns, text):
    return next((p for p in patterns if re.search(p, text, re.IGNORECASE)), None)


def most_at_once(found):
    """How many connections were open at once at most, by the report's own list; namespaces of one connection count once."""
    spans = {}
    for c in found:
        key, end = c.get("eio") or c.get("sid"), c.get("closed_at") or float("inf")
        begin, last = spans.get(key, (c["opened_at"], end))
        spans[key] = (min(begin, c["opened_at"]), max(last, end))
    marks = sorted([(begin, 1) for begin, _ in spans.values()] + [(end, -1) for _, end in spans.values()])
    most = now = 0
    for _, step in marks:
        now += step
        most = max(most, now)
    return most


def judge(case, data, text, code):
    """The classes that are wrong, each with what was got and wanted; and which parts were asked for and right."""
    wrong, asked = [], {}
    names = [n for p in case.get("pages", []) for n in re.findall(r"[\w-]+\.html[^\s/]*", p)]
    if data is None or code not in (0, 1, 3):
        return [("ERROR", f"exit code {code}: {text.strip().splitlines()[-1] if text.strip() else ''}")], {"verdict": False}
    verdict, want = data["verdict"], case["verdicts"]
    why = " ".join([data["reason"] or "", *data["notes"]])  # without the names of the pages, which may say it by chance
    for name in names:
        why = why.replace(name, "")
    asked["verdict"] = verdict in want
    loud = [f for f in data["findings"] if RANK[f["severity"]] > RANK[case.get("max_severity", "note")]]
    if not asked["verdict"]:
        name = "INCONCLUSIVE" if verdict == "inconclusive" else "FALSE PASS" if verdict == "passed" else "FALSE ALARM"
        said = "; ".join(f"{f['rule']}: {f['message']}" for f in data["findings"][:2]) or data["reason"]
        wrong.append((name, f"got {verdict} ({said[:150]}), wanted {' or '.join(want)}"))
        if verdict == "inconclusive" and case.get("reason_should"):
            asked["reason"] = bool(anyre(case["reason_should"], why))
        return wrong, asked
    if verdict == "passed" and loud:
        asked["verdict"] = False
        wrong.append(("FALSE ALARM", f"passed with a {loud[0]['severity']}: {loud[0]['rule']}: {loud[0]['message']}"))
    if verdict == "inconclusive" and case.get("reason_should"):
        asked["reason"] = bool(anyre(case["reason_should"], why))
        if not asked["reason"]:
            wrong.append(("WRONG REASON", f"got {data['reason']!r}, wanted /{'/ or /'.join(case['reason_should'])}/"))
    found = [c for c in data["connections"]]
    openers = sorted({p for c in found if (p := place(c.get("opener")))})
    named = openers + sorted({p for c in found if (p := place(c.get("diverges_at")))})
    groups, extra = case.get("places", []), case.get("places_ok", [])
    if verdict != "inconclusive" and groups:
        missed = [g for g in groups if not any(same(n, w) for n in named for w in g)]
        union = [w for g in groups for w in g] + extra
        alien = [o for o in openers if not any(same(o, w) for w in union)]
        asked["places"] = not missed and not alien
        if not asked["places"]:
            wrong.append(("WRONG PLACE", f"got {', '.join(named) or 'none'}; wanted {' and '.join(' or '.join(g) for g in groups)}"))
    if verdict == "failed" and "distinct_openers" in case:
        spots = {(c["opener"] or {}).get("file", "") + str(((c["opener"] or {}).get("line"), (c["opener"] or {}).get("column"))) for c in found}
        asked["places"] = len(spots) == case["distinct_openers"]
        if not asked["places"]:
            wrong.append(("WRONG PLACE", f"got {len(spots)} openers, wanted {case['distinct_openers']}"))
    if verdict == "failed" and "held" in case:
        low, high = case["held"] if isinstance(case["held"], list) else (case["held"], case["held"])
        told = " ".join([data["reason"], *(f["message"] for f in data["findings"])])
        counts = [int(n) for n in re.findall(r"holds (\d+) connections", told)]
        if case.get("policy") == "keeps":  # elsewhere the server decides how many stay open
            counts.append(most_at_once(found))
        if counts:
            asked["count"] = all(low <= n <= high for n in counts)
        if not asked.get("count", True):
            wrong.append(("WRONG COUNT", f"got {', '.join(map(str, counts))}; wanted {low if low == high else f'{low} to {high}'}"))
    errors = [f for f in data["findings"] if f["severity"] == "error"]
    causes = [f["cause"] for f in errors if f.get("cause")]
    if verdict == "failed" and case.get("rules"):
        asked["rule"] = any(f["rule"] in case["rules"] for f in errors)
        if not asked["rule"]:
            wrong.append(("WRONG RULE", f"got {', '.join(f['rule'] + ': ' + f['message'] for f in errors)[:140]}; wanted {' or '.join(case['rules'])}"))
    if verdict == "failed" and case.get("causes"):
        allowed = {c.removeprefix("new:") for c in case["causes"]}
        stems = {Path(w.rsplit(":", 1)[0]).stem for g in groups for w in g} | {Path(w.rsplit(":", 1)[0]).stem for w in extra}
        words = lambda c: " ".join(w for w in f"{c['name']} {c['because']}".split() if "/" not in w and w.strip("(),") not in stems)  # no names of files
        right = lambda c: c["id"] in allowed or anyre(case.get("cause_words", []), words(c))
        ids = [c["id"] for c in causes]
        asked["cause"] = all(right(c) or c["id"] in case.get("causes_ok", []) for c in causes) and (any(right(c) for c in causes) if causes else "none" in allowed)
        if not asked["cause"]:
            wrong.append(("WRONG CAUSE", f"got {', '.join(ids) or 'none'}; wanted {' or '.join(case['causes'])}"))
    advice = " ".join([*(c["fix"] for c in causes), *re.findall(r"^\s+fix\s+(.*)$", text, re.MULTILINE), *re.findall(r"Fix: (.*)$", text, re.MULTILINE)])
    if verdict == "failed" and ("fix_must_not" in case or "fix_should" in case):
        bad, good = anyre(case.get("fix_must_not", []), advice), anyre(case.get("fix_should", [".?"]), advice)
        asked["advice"] = not bad and bool(good)
        if not asked["advice"]:
            wrong.append(("WRONG ADVICE", f"got {advice[:160]!r}; " + (f"must not /{bad}/" if bad else f"should /{'/ or /'.join(case['fix_should'])}/")))
    unsaid = [p for p in case.get("says_should", []) if not re.search(p, text)]
    if unsaid:
        asked["places"] = False
        wrong.append(("WRONG PLACE", f"does not say /{'/, /'.join(unsaid)}/"))
    hit = anyre(case.get("says_must_not", []), text)
    if hit:
        asked["count"] = False
        wrong.append(("WRONG COUNT", f"says /{hit}/"))
    per = case.get("connections_per_endpoint")
    if per:
        got = {e: sum(1 for c in found if e in c.get("endpoint", "")) for e in per}
        asked["count"] = got == per
        if got != per:
            wrong.append(("WRONG COUNT", f"got {got}, wanted {per}"))
    return wrong, asked


def totals(name, rows):
    if not rows:
        return ""
    part = lambda key: [asked[key] for _, _, asked in rows if key in asked]
    parts = ", ".join(f"{k} {sum(v)}/{len(v)}" for k in ("verdict", "rule", "places", "count", "cause", "advice", "reason") if (v := part(k)))
    first = [wrong[0][0] for _, wrong, _ in rows if wrong]
    tail = "".join(f"; {label} {first.count(key)}" for key, label in (("FALSE PASS", "false passes"), ("FALSE ALARM", "false alarms"), ("INCONCLUSIVE", "inconclusive"), ("ERROR", "errors")))
    return f"{name} {sum(not wrong for _, wrong, _ in rows)}/{len(rows)} right ({parts}){tail}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wscheck")
    parser.add_argument("case", nargs="*")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="cases at a time")
    parser.add_argument("--kind", choices=("socketio", "beyond-socketio"), help="only cases of this kind")
    parser.add_argument("--fifth", action="store_true", help="run every fifth case only, the same ones each time")
    parser.add_argument("--without", default="", metavar="PARTS", help="do not compare these parts: cause,advice")
    parser.add_argument("-v", action="store_true", help="print what wscheck said")
    parser.add_argument("--corpus", type=Path, default=HERE, metavar="DIR", help="folder of the cases")
    ask = parser.parse_args()
    global corpus
    corpus = ask.corpus.resolve()
    cases = json.loads((corpus / "truth.json").read_text(encoding="utf-8"))["cases"]
    if ask.case:
        cases = [c for c in cases if any(c["id"] == n or c["shape"] == n for n in ask.case)]
    if ask.kind:
        cases = [c for c in cases if c["kind"] == ask.kind]
    if ask.fifth:
        cases = cases[::5]
    left_out = {f"WRONG {part.strip().upper()}" for part in ask.without.split(",")}
    if not (corpus / "public").exists():
        sys.exit("There are no built pages: npm ci && npm run build")
    wscheck = str(Path(ask.wscheck).absolute()) if os.sep in ask.wscheck else ask.wscheck

    def one(case):
        try:
            data, text, code = run(wscheck, case)
            wrong, asked = judge(case, data, text, code)
            wrong = [each for each in wrong if each[0] not in left_out]
        except Exception as error:  # a defect of the scorer or of the report's form: that case alone
            text, wrong, asked = "", [("ERROR", repr(error))], {"verdict": False}
        line = f"{case['id']:34} " + ("ok" if not wrong else " | ".join(f"{k}: {v}" for k, v in wrong))
        print(line + (f"\n{text}" if ask.v else ""), flush=True)
        return case, wrong, asked

    with concurrent.futures.ThreadPoolExecutor(ask.j) as pool:
        rows = list(pool.map(one, cases))
    healthy = sum(c["class"] == "healthy" for c, _, _ in rows)
    io = totals("pages", [r for r in rows if r[0]["kind"] == "socketio"])
    beyond = totals("beyond-socketio", [r for r in rows if r[0]["kind"] == "beyond-socketio"])
    print(f"{len(rows)} cases, {healthy} of them healthy")
    print(" | ".join(t for t in (io, beyond) if t))
    return 0 if not any(wrong for _, wrong, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
