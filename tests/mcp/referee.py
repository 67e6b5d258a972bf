"""The official referee: every scenario of both eras against a server, or against our client."""

import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
NODE = HERE / "node_modules/.bin/node"
LEGACY = HERE / "node_modules/referee-legacy/dist/index.js"
BOTH = HERE / "node_modules/referee-both-eras/dist/index.js"
REVISIONS = ("2025-11-25", "2026-07-28")
LEG_SECONDS = 120
SCENARIO_SECONDS = 15


def server_legs(name, url, folder):
    """What is run against a server: a name and the words for each."""
    legs = [(f"{name}, 0.1.16, everything", LEGACY, ["server", "--url", url, "--suite", "all"])]
    for revision in REVISIONS:
        words = ["server", "--url", url, "--requirements", revision]
        words += ["--timeout", str(SCENARIO_SECONDS * 1000)]
        legs.append((f"{name}, 0.2.0-alpha.12, {revision}", BOTH, words))
    return [(leg, program, [*words, "-o", str(folder / slug(leg))]) for leg, program, words in legs]


def client_legs(command, folder):
    """What is run against a client that is started with an address."""
    start = ["client", "--command", command]
    legs = [("client, 0.1.16, everything", LEGACY, [*start, "--suite", "all"])]
    for revision in REVISIONS:
        leg = f"client, 0.2.0-alpha.12, {revision}"
        legs.append((leg, BOTH, [*start, "--requirements", revision]))
    legs.append(("client, 0.2.0-alpha.12, 2025-03-26", BOTH, [*start, "--suite", "backcompat"]))
    return [(leg, program, [*words, "-o", str(folder / slug(leg))]) for leg, program, words in legs]


# What our client does not pass, by the beginning of the leg's name, and why. None of it is scored.
# A scenario that passes although it stands here fails the run, so that the list stays true.
DPOP = "proof of possession is an extension, and no token is bound to a key here"
ELSEWHERE = "an extension where another party's assertion stands for a person: not offered yet"
EXTENSIONS = {
    "auth/dpop": DPOP,
    "auth/dpop-nonce": DPOP,
    "auth/enterprise-managed-authorization": ELSEWHERE,
    "auth/wif-jwt-bearer": ELSEWHERE,
}
EXPECTED = {
    "client, 0.1.16": {
        "auth/2025-03-26-oauth-metadata-backcompat": (
            "its server names another issuer than the one that was asked, which must be refused; "
            "0.2.0 has put that right, and there it passes"
        ),
        "auth/cross-app-access-complete-flow": ELSEWHERE,
    },
    "client, 0.2.0-alpha.12, 2025-11-25": EXTENSIONS,
    "client, 0.2.0-alpha.12, 2026-07-28": EXTENSIONS,
}


def expected(leg):
    """The scenarios that this leg may fail."""
    return next((known for start, known in EXPECTED.items() if leg.startswith(start)), {})


def unexpected(leg, wrong):
    """What went wrong, or right, against what is known."""
    failed = {line.split()[1].rstrip(":") for line in wrong if line.startswith("✗")}
    known = set(expected(leg))
    surprises = [line for line in wrong if not known.intersection(line.replace(":", " ").split())]
    return surprises + [f"passes now: {name}" for name in sorted(known - failed)]


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower())


def run(program, words, environment):
    """Runs one leg: whether it passed, its counts, and the scenarios that failed."""
    done = subprocess.run(
        [str(NODE), str(program), *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LEG_SECONDS,
    )
    said = done.stdout + done.stderr
    total = re.search(r"Total: (\d+) passed, (\d+) failed", said)
    if total is None:
        return False, 0, 1, said.splitlines()[-15:]
    scored, _, unscored = said.partition("Not scored")
    wrong = [line.strip() for line in scored.splitlines() if line.strip().startswith("✗")]
    # What a revision does not require may fail, but not unseen: today nothing does.
    wrong += [line.strip() for line in unscored.splitlines() if line.strip().startswith("✗")]
    passed, failed = int(total[1]), int(total[2])
    return done.returncode == 0, passed, failed, wrong
