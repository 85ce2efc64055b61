"""Gives the whole corpus to the program that searches it with and without the index, and passes on what it says."""
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from demo import corpus_dir
from messages import canonical, corpus

if not corpus_dir():
    print("1..0 # SKIP there is no corpus here (PENFOLD_CORPUS)")
    sys.exit(0)
with tempfile.NamedTemporaryFile(prefix="penfold-corpus-") as file:
    for _, raw in corpus():
        message = canonical(raw)
        file.write(struct.pack("<I", len(message)) + message)
    file.flush()
    sys.exit(subprocess.call([sys.argv[1], file.name]))
