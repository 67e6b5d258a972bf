#!/usr/bin/env python3
"""Writes conversations in LoCoMo's format that are hard to search, for where its file is missing.

    python3 bench/recall/make.py made.json [--conversations 6] [--seed 1]
                                           [--slips 0.33] [--half second]

Two people talk through 20 sessions of 20 messages. Facts are told once, often as an answer that
does not repeat the words of what it answers; two thirds of the questions share a word with what was
told or asked, in another form, a third share none; all name who said it. Around each fact stand
others that share its words: the same thing of the other person, and small talk. With `--slips` that
share of the questions has a word with two letters exchanged. `--half` takes facts from one half of
the list only: what was changed by looking at one is judged by the other. The same seed gives the
same file. It is no LoCoMo: its figures compare one version of the program with another, not
with what others report.
"""

import argparse
import json
import pathlib
import random

NAMES = [
    ("Mara", "Jonas"),
    ("Priya", "Tom"),
    ("Lena", "Omar"),
    ("Ruth", "Kenji"),
    ("Ines", "Paul"),
    ("Nora", "Felix"),
]
# What is told (with the line before it, where it is an answer), and how somebody asks for it later.
FACTS = [
    (
        None,
        "I finally signed the lease, it is the yellow house by the canal",
        "Where is the house that {who} leased?",
    ),
    (
        "What is the puppy called?",
        "Biscuit, my niece picked it",
        "What is the puppy of {who} called?",
    ),
    (
        None,
        "The doctor says no gluten for me from now on",
        "What did the doctor tell {who} not to eat?",
    ),
    (
        "So where did you end up going?",
        "Two weeks in Lisbon, we stayed near the old tram",
        "Where did {who} stay for two weeks?",
    ),
    (
        None,
        "I handed in my notice at the bank today",
        "When did {who} hand in notice?",
    ),
    (
        "And what do you play?",
        "The cello, badly, since March",
        "What does {who} play since March?",
    ),
    (
        None,
        "My brother Anton is getting married in the vineyard",
        "Who of {who}'s family marries in a vineyard?",
    ),
    (
        None,
        "I ran the half marathon in two hours and four minutes",
        "How many hours did {who} run in the marathon?",
    ),
    (
        "What broke this time?",
        "The gearbox, they want nine hundred for it",
        "What part of the car did {who} need to repair?",
    ),
    (
        None,
        "We painted the nursery green because we do not know yet",
        "What colour did {who} paint the nursery?",
    ),
    (
        "How did the interview go?",
        "They offered me the post in the museum",
        "What was {who} offered after the interview?",
    ),
    (
        None,
        "I am reading the diaries of a lighthouse keeper, cannot put it down",
        "Which book does {who} enjoy?",
    ),
    (
        "What are you allergic to?",
        "Penicillin, it says so on my card",
        "What is {who} allergic to?",
    ),
    (
        None,
        "Grandmother left me her sewing machine, I made curtains already",
        "What did the grandmother leave {who}?",
    ),
    (
        "When is it due?",
        "The thesis? Last Friday of May, no extension",
        "When is the thesis of {who} due?",
    ),
    (
        None,
        "I sold the motorbike to a colleague, it was hardly used",
        "What vehicle did {who} get rid of?",
    ),
    (
        None,
        "I started volunteering at the shelter on Sundays",
        "Where does {who} volunteer on Sundays?",
    ),
    (
        "What did you order in the end?",
        "The mushroom risotto, it was divine",
        "What did {who} eat at the restaurant?",
    ),
    (
        None,
        "Our team lost the final by one goal, I cried",
        "Who lost the final that made {who} cry?",
    ),
    (
        "Who taught you that?",
        "My neighbour Mrs. Okafor, she bakes every week",
        "From whom did {who} learn to make bread?",
    ),
    (
        None,
        "I moved my savings into a solar cooperative",
        "What did {who} invest in?",
    ),
    (
        None,
        "The twins take swimming lessons at the lido now",
        "Where do the twins of {who} swim?",
    ),
    (
        "Which one did you take?",
        "The night train, arriving at six in the morning",
        "How did {who} travel?",
    ),
    (
        None,
        "I broke my wrist falling off the ladder",
        "What injury did {who} have?",
    ),
]
TALK = [
    "That sounds wonderful, tell me more",
    "I had a long day at work",
    "The weather is awful again",
    "Do you remember when we lived near the park?",
    "I was thinking about the house",
    "My dog would love that",
    "We should go on vacation together",
    "I read something about that in a book",
    "Work is work, you know",
    "Did you eat already?",
    "The car makes a noise again",
    "How are the children?",
    "I might learn an instrument",
    "My brother called yesterday",
    "I saw a race on television",
    "I need a new job, honestly",
    "The restaurant on the corner has closed",
    "I should invest somewhere, everyone does",
    "Let us talk about it tomorrow",
    "I slept badly",
    "You always say that",
    "The train was late",
    "I have to see the doctor next week",
    "What colour would you take?",
    "There is a wedding every week this summer",
    "I like your new picture",
]


def slipped(chance, question):
    """The question with two letters of one long word exchanged, as hands in a hurry do."""
    words = question.split()
    long = [place for place, word in enumerate(words) if len(word.strip("?'s")) > 5]
    if not long:
        return question
    place = chance.choice(long)
    letters = list(words[place])
    at = chance.randrange(1, len(letters) - 3)
    letters[at], letters[at + 1] = letters[at + 1], letters[at]
    words[place] = "".join(letters)
    return " ".join(words)


def conversation(chance, names, known, slips):
    """One sample: sessions, and questions with the ids of their evidence."""
    first, second = names
    count = min(14, len(known))
    facts = [(who, fact) for who in names for fact in chance.sample(known, count)]
    chance.shuffle(facts)
    sessions = {"speaker_a": first, "speaker_b": second}
    questions, left = [], list(facts)
    for number in range(1, 21):
        told = [left.pop() for _ in range(min(len(left), chance.choice([1, 1, 2])))]
        turns = []
        while len(turns) < 20:
            if told and chance.random() < 0.2:
                who, (before, said, asked) = told.pop()
                other = second if who == first else first
                if before:
                    turns.append((other, before))
                turns.append((who, said))
                place = f"D{number}:{len(turns)}"
                words = asked.format(who=who)
                if slips and chance.random() < slips:
                    words = slipped(chance, words)
                question = {"question": words, "answer": said}
                questions.append({**question, "evidence": [place], "category": 4})
            else:
                turns.append((chance.choice(names), chance.choice(TALK)))
        sessions[f"session_{number}_date_time"] = f"1:56 pm on {number} May, 2023"
        sessions[f"session_{number}"] = [
            {"speaker": who, "dia_id": f"D{number}:{place}", "text": text}
            for place, (who, text) in enumerate(turns, 1)
        ]
    return {"sample_id": f"{first}-{second}", "conversation": sessions, "qa": questions}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=pathlib.Path, help="where to write it")
    parser.add_argument("--conversations", type=int, default=6, help="how many, 1 to 6")
    parser.add_argument("--seed", type=int, default=1, help="another file of the same kind")
    parser.add_argument("--slips", type=float, default=0.0, help="share of misspelt questions")
    parser.add_argument("--half", choices=["first", "second"], help="facts of one half only")
    options = parser.parse_args()
    if not 0 <= options.slips <= 1:
        parser.error(f"--slips must be 0 to 1, got {options.slips}")
    if not 1 <= options.conversations <= len(NAMES):
        parser.error(f"--conversations must be 1 to {len(NAMES)}, got {options.conversations}")
    chance = random.Random(options.seed)
    known = {"first": FACTS[::2], "second": FACTS[1::2], None: FACTS}[options.half]
    people = NAMES[: options.conversations]
    made = [conversation(chance, names, known, options.slips) for names in people]
    options.file.write_text(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
