"""Small TAP printer: each check is counted, the plan comes last."""
import sys
import traceback


class Tap:
    def __init__(self):
        self.number = self.bad = 0

    def ok(self, good, name, detail=""):
        self.number += 1
        self.bad += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}", flush=True)
        if not good and detail:
            for line in str(detail).splitlines()[:40]:
                print(f"# {line}", flush=True)
        return good

    def skip(self, name, reason):
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {reason}", flush=True)

    def run(self, name, function, *args):
        """Counts a function as one test: it fails when it raises. A returned string is shown as a remark."""
        try:
            remark = function(*args)
        except Exception:
            return self.ok(False, name, traceback.format_exc())
        if isinstance(remark, str):
            print(f"# {remark}")
        return self.ok(True, name)

    def done(self):
        print(f"1..{self.number}", flush=True)
        sys.exit(1 if self.bad or not self.number else 0)
