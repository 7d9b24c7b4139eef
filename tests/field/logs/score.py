#!/usr/bin/env python3
"""score.py WSCHECK [-j N] [-v] [--fifth] [case ...]: compare `wscheck tail-logs` on the logs of this folder with truth.json.

Each log is read without options, or with the `args` of its case. While the result is wrong and the report proposes
`next  wscheck tail-logs ...`, that command is run, at most three times. `--fifth` runs every fifth case. There is no network.
"""
import concurrent.futures as cf
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOGS = HERE / 'logs'
DEADLINE = 60                                            # seconds for one case, its pastes included
PASTES = 3
EXIT = {'passed': 0, 'failed': 1, 'inconclusive': 3}
ENV = {'PATH': os.environ.get('PATH', ''), 'HOME': os.environ.get('HOME', '/'), 'LANG': 'C.UTF-8', 'TZ': 'UTC', 'COLUMNS': '20000', 'NO_COLOR': '1'}
RIGHT = ('at once', 'after a paste', 'honest inconclusive')
WRONG = ('FALSE PASS', 'FALSE ALARM', 'WRONG CAUSE', 'WRONG COUNTS', 'INCONCLUSIVE', 'NOT AT ONCE', 'ERROR')


def run(wscheck, args, until):
    """-> the JSON report, the text for people; raises ValueError with what is wrong."""
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(tmp, 'report.json')
        try:
            p = subprocess.run([wscheck, *args, '--format', 'terminal', '--format', f'json={out}'], cwd=LOGS, env=ENV, stdin=subprocess.DEVNULL,
                               capture_output=True, timeout=max(1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise ValueError(f'no end within {DEADLINE} s') from None
        text, err = p.stdout.decode('utf-8', 'replace'), p.stderr.decode('utf-8', 'replace')
        try:
            doc = json.loads(out.read_text())
        except (OSError, ValueError):
            raise ValueError(f'no report, exit code {p.returncode}: {(err or text).strip()[-200:]}') from None
    if 'Traceback' in err:
        raise ValueError('traceback: ' + err.strip().splitlines()[-1])
    if EXIT.get(doc['verdict']) != p.returncode:
        raise ValueError(f'{doc["verdict"]} with exit code {p.returncode}')
    return doc, text


def proposed(text):
    """the command that the report proposes, as arguments, or None"""
    m = re.search(r'^\s*next\s+wscheck (tail-logs .+)$', text, re.M)
    if not m or 'YOUR WORDS' in m[1]:
        return None
    if re.search(r'[$`]', re.sub(r"""'[^']*'|"[^"$`]*\"""", '', m[1])):
        raise ValueError('a shell would run a part of what is proposed: ' + m[1][:200])
    try:
        args = shlex.split(m[1])
    except ValueError:
        raise ValueError('what is proposed cannot be pasted: ' + m[1][:200]) from None
    out, skip = [], False
    for a in args:                                       # our own --format, should it be repeated
        if skip or a.startswith('--format='):
            skip = False
        elif a == '--format':
            skip = True
        else:
            out.append(a)
    return out


def told(doc, text, name):
    """what the report says of itself: its reason and notes, without the lines that quote the log or propose words"""
    lines = [x for x in text.replace(name, 'LOG').splitlines() if not re.search(r'--marker|--key|your words|^\s*next\s+wscheck', x, re.I)]
    start = next((i for i, x in enumerate(lines) if x.startswith('read ')), 0)
    table = next((i for i, x in enumerate(lines) if x.startswith('user ') and 'connects' in x), len(lines))
    end = next((i for i, x in enumerate(lines) if re.match(r'\S (PASSED|FAILED|INCONCLUSIVE)', x)), table)
    return '\n'.join([str(doc.get('reason') or ''), *lines[start:min(table, end)], *lines[end:]])


def counts(doc, case):
    names = case.get('names', {})
    got = {names.get(u, u): [v.get('connects'), v.get('max_open'), v.get('replacements')] for u, v in doc['users'].items()}
    if case['users'] is None or (case.get('users_if_read') and not got):
        return []
    wrong = []
    for u, want in case['users'].items():
        if u not in got:
            wrong.append(f'{u} missing')
            continue
        wrong += [f'{u} {what} {b}, not {a}' for what, a, b in zip(('connects', 'most at once', 'replaced'), want, got[u]) if a is not None and a != b]
    more = [u for u in got if u not in case['users']]
    if more:
        wrong.append('nobody is called ' + ', '.join(more[:3]))
    return wrong


def judge(doc, text, case, name):
    """-> (class, what is wrong); class 'right' or 'honest inconclusive' if nothing is"""
    verdict, found = doc['verdict'], doc['findings']
    grave = [f for f in found if f['severity'] in ('error', 'warning')]
    rules = {f['rule'] for f in grave}
    causes = {(f.get('cause') or {}).get('id') for f in found}
    wrong = counts(doc, case)
    accept = set(case['verdicts'])
    if case.get('passed_if_warned') in {f['rule'] for f in found}:
        accept.add('passed')
    if verdict == 'passed' and 'passed' not in accept:
        return 'FALSE PASS', wrong
    alarm = []
    if verdict == 'failed' and 'failed' not in accept:
        alarm.append('failed: ' + ', '.join(sorted(rules)))
    alarm += [f'{f["rule"]} as an error' for f in found if f['rule'] in case.get('no_error', ()) and f['severity'] == 'error'][:1]
    alarm += [f'{r} found' for r in case.get('must_not', ()) if r in rules]
    innocent = {u for u, c in (case['users'] or {}).items() if (c[1] == 1 and c[2] == 0) or u not in case.get('only', (u,))}
    alarm += [f'{f["rule"]} of {f["user"]}, who held one' for f in grave if f['rule'] in ('multiple-connections', 'connection-replaced') and f.get('user') in innocent][:2]
    if alarm:
        return 'FALSE ALARM', alarm + wrong
    cause = [f'cause {c[6:]}' for c in case.get('must_not', ()) if c.startswith('cause:') and c[6:] in causes]
    if cause:
        return 'WRONG CAUSE', cause
    if verdict == 'inconclusive':
        ok = case.get('inconclusive_ok')
        events = [f'{k} {doc["events"].get(k)}, not {n}' for k, n in case.get('events', {}).items() if doc['events'].get(k) != n]
        if ok and re.search(ok, told(doc, text, name), re.I | re.S) and not events and not (wrong and case['verdicts'] and not case.get('users_if_read')):
            return ('WRONG COUNTS', wrong) if wrong else ('honest inconclusive', [])
        return 'INCONCLUSIVE', events or wrong or [str(doc.get('reason'))]
    if verdict == 'failed':
        missing = [f'{r} not found' for r in case.get('must', ()) if r not in rules]
        if missing:
            return 'WRONG CAUSE', missing
    return ('WRONG COUNTS', wrong) if wrong else ('right', [])


def score(wscheck, name, case):
    args = ['tail-logs', '--no-follow', *case.get('args', []), f'{name}.log']
    seen, steps, until = [], [], time.monotonic() + DEADLINE
    try:
        while True:
            doc, text = run(wscheck, args, until)
            cls, wrong = judge(doc, text, case, name)
            steps.append((cls, wrong, doc, args))
            seen.append(args)
            if cls in ('right', 'FALSE PASS', 'FALSE ALARM') or len(steps) > PASTES:
                break
            args = proposed(text)
            if not args or args in seen:
                break
    except ValueError as e:
        return 'ERROR', f'after {len(steps)} pastes: {e}' if steps else str(e), steps
    cls, wrong, doc, args = steps[-1]
    got = f'{doc["verdict"]} {json.dumps(doc["users"] and {u: [v["connects"], v["max_open"], v["replacements"]] for u, v in list(doc["users"].items())[:4]})}'
    note = f'got {got} after {len(steps) - 1} pastes; {"; ".join(map(str, wrong))[:240]}'
    if cls == 'right':
        if len(steps) == 1:
            return 'at once', '', steps
        return ('NOT AT ONCE', note, steps) if case['stage'] == 'zero' else ('after a paste', '', steps)
    if cls == 'honest inconclusive':
        return cls, '', steps
    want = ' or '.join(case['verdicts']) or 'inconclusive'
    return cls, f'{note}; wanted {want} {json.dumps(case["users"])[:160]}', steps


def main(argv):
    jobs, verbose, fifth, rest = 2, False, False, []
    it = iter(argv)
    for a in it:
        if a == '-j':
            jobs = int(next(it))
        elif a == '-v':
            verbose = True
        elif a == '--fifth':
            fifth = True
        else:
            rest.append(a)
    if not rest:
        sys.exit(__doc__)
    wscheck = rest[0] if os.sep not in rest[0] else str(Path(rest[0]).resolve())
    cases = json.loads((HERE / 'truth.json').read_text())['cases']
    names = rest[1:] or list(cases)[:: 5 if fifth else 1]
    unknown = [n for n in names if n not in cases]
    if unknown:
        sys.exit('no such case: ' + ', '.join(unknown))
    total, kinds = dict.fromkeys(RIGHT + WRONG, 0), {}
    with cf.ThreadPoolExecutor(jobs) as pool:
        for name, (cls, note, steps) in zip(names, pool.map(lambda n: score(wscheck, n, cases[n]), names)):
            total[cls] += 1
            k = kinds.setdefault(cases[name]['kind'], [0, 0])
            k[0] += cls in RIGHT
            k[1] += 1
            print(f'{name:52} {"ok (" + cls + ")" if cls in RIGHT else cls + ": " + note}', flush=True)
            if verbose or (cls not in RIGHT and len(steps) > 1):
                print('    ran: wscheck ' + shlex.join(steps[-1][3])[:400] if steps else '    nothing ran')
            if verbose:
                print('    why: ' + cases[name]['why'])
    print('by kind: ' + ', '.join(f'{k} {a}/{b}' for k, (a, b) in sorted(kinds.items())))
    right = sum(total[k] for k in RIGHT)
    print(f'logs {right}/{len(names)} right ({total["at once"]} at once, {total["after a paste"]} after a paste, {total["honest inconclusive"]} honest inconclusive); '
          f'false passes {total["FALSE PASS"]}; false alarms {total["FALSE ALARM"]}; wrong causes {total["WRONG CAUSE"]}; wrong counts {total["WRONG COUNTS"]}; '
          f'inconclusive {total["INCONCLUSIVE"]}; not at once {total["NOT AT ONCE"]}; errors {total["ERROR"]}')
    return right != len(names)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
