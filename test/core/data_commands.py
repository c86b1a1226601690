"""Run ``hand_perception data check`` and take its lines apart."""

from hand_perception.cli.main import main


def check(capsys, *arguments):
    """Run the command: its exit code, and (level, topic) to the texts and advices."""
    code = main(['data', 'check', *map(str, arguments)])
    found = {}
    topic = None
    for line in capsys.readouterr().out.splitlines():
        if line.startswith(' '):
            found[topic][-1] += line.strip()
            continue
        topic = (line[:5].strip(), line[6:19].strip())
        found.setdefault(topic, []).append(line[20:])
    return code, {key: ' | '.join(texts) for key, texts in found.items()}


def levels(found):
    """All levels that were told."""
    return {level for level, _ in found}
