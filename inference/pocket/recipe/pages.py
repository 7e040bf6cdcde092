"""Web pages as the browser tool shows them, with facts to find in them."""
from vocabulary import city, name, number, phrase, word


def sentence(r):
    kind, thing = r.randrange(6), word(r)
    return [f'The {thing} costs {number(r)} euros.', f'{name(r)} lives in {city(r)}.', f'The {thing} was built in {r.randint(1500, 2020)}.',
            f'The code of the {thing} is {number(r)}.', f'{city(r)} has {number(r)} {thing} shops.', f'The capital of {thing} is {city(r)}.'][kind]


def fact(r):
    """A sentence, what a user asks to learn it, and a pattern that finds it."""
    thing, kind = word(r), r.randrange(5)
    if kind == 0:
        return f'The {thing} costs {number(r)} euros.', f'how much the {thing} costs', thing
    if kind == 1:
        return f'The {thing} was built in {r.randint(1500, 2020)}.', f'when the {thing} was built', thing
    if kind == 2:
        return f'The code of the {thing} is {number(r)}.', f'the code of the {thing}', thing
    if kind == 3:
        who, where = name(r), city(r)
        return f'{who} lives in {where}.', f'where {who} lives', who
    return f'The capital of {thing} is {city(r)}.', f'the capital of {thing}', thing


def address(r):
    return r.choice([f'http://127.0.0.1:{r.randint(1024, 65535)}/{word(r)}', f'http://localhost:{r.randint(1024, 65535)}/{word(r)}.html',
                     f'https://{word(r)}.com/{word(r)}', f'https://www.{word(r)}.org', f'http://localhost:{r.randint(1024, 65535)}/'])


def display(cursor, title, url, lines):
    """A page as the browser tool shows it: cursor, title, address, numbered lines."""
    head = f'[{cursor}] {title} ({url})' if url else f'[{cursor}] {title}'
    last = len(lines) - 1
    return f'{head}\n**viewing lines [0 - {last}] of {last}**\n\n' + '\n'.join(f'L{i}: {l}' for i, l in enumerate(lines))


def layout(r, title, url, body, wanted):
    """The lines of a page (empty line, address, perhaps links and a heading, then the body) and the line number of body[wanted]."""
    lines = ['', f'URL: {url}']
    if r.random() < .3:
        lines.append(' '.join(f'【{i}†{w}】' for i, w in enumerate(['Home', 'News', 'About'][:r.randint(1, 3)])))
    lines.append('')
    if r.random() < .6:
        lines += [f'# {title} ', '']
    spaced = r.random() < .4
    at = len(lines) + wanted * (2 if spaced else 1)
    for i, line in enumerate(body):
        lines.append(line)
        if spaced and i + 1 < len(body):
            lines.append('')
    return lines, at


def search_results(r):
    lines = ['', 'URL: ', '# Search Results', '']
    for i in range(r.randint(1, 3)):
        lines.append(f'  * 【{i}†{phrase(r, 1, 3)}†{word(r)}.com】 {sentence(r)[:30]}')
    return lines


def found(pattern, title, url, lines, at):
    """The page that find answers with: the match and a few lines from it on."""
    return display(1, f'Find results for text: `{pattern}` in `{title}`', f'{url}/find?pattern={pattern}', [f'# 【0†match at L{at}】'] + lines[at:at + 4])
