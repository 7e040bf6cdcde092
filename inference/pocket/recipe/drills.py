"""Dense exercises: episodes with several trained turns over one set of functions or one page.

An ordinary episode spends most of its tokens on what the model only reads. A drill asks several things of the same text, so that
the hard moments (finding a value, a name, the number of a line) come several times as often. Every turn has the form that it has
in `episodes` at low effort. The end of an answer is trained in the last turn only: before it nothing tells that more will come.
"""
import computations
import episodes
import functions
import messages as m
import pages
from vocabulary import phrase, small, number, word


def drill(r):
    while True:
        try:
            return r.choices([calls, declared, prices, page, sums, copies], [.3, .26, .13, .14, .13, .04])[0](r)
        except episodes.Retry:
            continue


def finish(r, kind, pieces, tools, funcs, instructions=None):
    """The whole drill, its last answer ended as a conversation's last answer is."""
    pieces[-2:] = [(pieces[-2][0] + '<|return|>', 1)]
    head = [m.system(r, tools, 'low', bool(funcs)), *m.developer(instructions, funcs)]
    return kind, head + pieces, dict(effort='low', tools=sorted(tools), functions=funcs)


def inner(answer):
    """A final answer that another turn follows."""
    return m.final(answer)[:-1] + [(f'<|channel|>final<|message|>{answer}', 1), ('<|end|>', 0)]


def calls(r):
    """Several requests to the same functions, some with two calls."""
    funcs = [functions.function(r) for _ in range(r.randint(1, 4))]
    if not all(functions.unique(funcs, f) for f in funcs):
        raise episodes.Retry
    pieces = []
    for _ in range(r.randint(2, 5)):
        f = r.choice(funcs)
        if len(f.params) == 1 and r.random() < .6:
            first, second, p = functions.arguments(r, f), functions.arguments(r, f), f.params[0].name
            (text1, answer1), (text2, answer2) = functions.outcome(r), functions.outcome(r)
            pieces += [m.user(f'Use {f.name} for {first[p]} and then for {second[p]}.')]
            pieces += episodes.called(f, first, text1) + episodes.called(f, second, text2) + inner(f'{answer1} {answer2}')
        else:
            args = functions.arguments(r, f)
            text, answer = m.denial(r, phrase) if r.random() < .08 else functions.outcome(r)
            pieces += [m.user(functions.request(r, f, args))] + episodes.called(f, args, text) + inner(answer)
    return finish(r, 'func', pieces, set(), funcs)


def declared(r):
    """Requests to several functions, alike in name, that leave the parameter's name to the declaration."""
    funcs = [functions.function(r) for _ in range(r.randint(2, 5))]
    for f in funcs[1:]:
        if r.random() < .5:
            functions.rename(f, funcs[0].verb if r.random() < .5 else f.verb, funcs[0].noun if r.random() < .4 else f.noun)
        f.params = f.params[:r.choice([1, 1, 1, 2])]
    if len({(f.verb, f.noun) for f in funcs}) < len(funcs):
        raise episodes.Retry
    pieces = []
    for f in r.sample(funcs, len(funcs)):
        args = functions.arguments(r, f)
        text, answer = functions.outcome(r) if r.random() < .3 else ('done', 'The result is: done')
        pieces += [m.user(functions.request(r, f, args))] + episodes.called(f, args, text) + inner(answer)
    return finish(r, 'func', pieces, set(), funcs)


def prices(r):
    """Several questions on prices, each carried into Python."""
    f = functions.get_price(r)
    pieces = []
    for _ in range(r.randint(2, 4)):
        a, b, x, y, k = word(r), word(r), number(r), number(r), small(r)
        if r.random() < .5:
            pieces += [m.user(r.choice([f'What do {k} {a} cost?', f'Get the price of {a} and multiply it by {k}.', f'How much are {k} pieces of {a}?']))]
            pieces += episodes.priced(f, a, x) + m.call_python(f'print({x} * {k})') + m.result('python', str(x * k)) + inner(f'{k} {a} cost {x * k}.')
        else:
            pieces += [m.user(r.choice([f'What do {a} and {b} cost together?', f'Get the prices of {a} and {b} and add them.']))]
            pieces += episodes.priced(f, a, x) + episodes.priced(f, b, y)
            pieces += m.call_python(f'print({x} + {y})') + m.result('python', str(x + y)) + inner(f'{a} and {b} cost {x + y} together.')
    return finish(r, 'multi', pieces, {'python'}, [f] if r.random() < .5 else [functions.function(r), f])


def page(r):
    """One page, several questions on its lines, each answered with a citation."""
    facts = [pages.fact(r) for _ in range(r.randint(3, 7))]
    title, url, cursor = phrase(r, 1, 3).capitalize(), pages.address(r), r.randint(0, 1)
    lines, _ = pages.layout(r, title, url, [line for line, _, _ in facts], 0)
    pieces = [m.user(f'Open {url} and tell me {facts[0][1]}.')] + episodes.opened(url, pages.display(cursor, title, url, lines))
    for i, (line, ask, _) in enumerate([facts[0]] + r.sample(facts, r.randint(2, len(facts)))):
        if i:
            pieces += [m.user(f"{r.choice(['And', 'Also', 'Next,'])} tell me {ask}.")]
        pieces += inner(f'{line} 【{cursor}†L{lines.index(line)}】')
    return finish(r, 'web', pieces, {'browser'}, [])


def sums(r):
    """Several small computations by Python, mostly with an instruction on the form of the answers."""
    instructions, style = episodes.form(r) if r.random() < .7 else (None, computations.Task.answered)
    pieces = []
    for _ in range(r.randint(3, 5)):
        t = computations.task(r)
        pieces += [m.user(t.question)] + m.call_python(t.code) + m.result('python', t.output if r.random() < .5 else t.output.strip()) + inner(style(t))
    return finish(r, 'instr', pieces, {'python'}, [], instructions)


def copies(r):
    """Several bare repetitions."""
    pieces = []
    for _ in range(r.randint(2, 4)):
        _, (_, question, *_, (answer, _)), _ = episodes.copy(r)
        pieces += [question, m.ASSISTANT, (answer.replace('<|return|>', ''), 1), ('<|end|>', 0)]
    kind, whole, spec = finish(r, 'copy', pieces, set(), [])
    return kind, [episodes.copy(r)[1][0]] + whole[1:], dict(spec, tools=['none'])
