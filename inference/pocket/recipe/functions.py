"""Functions as a developer might declare them, requests to call them, and what they give back."""
import json
import string
from dataclasses import dataclass, field

from vocabulary import city, letters, name, number, phrase, small, word

VERBS = """get find read fetch list check send set create add delete update book order open close start stop play turn_on turn_off
lookup convert translate""".split()
NOUNS = """weather price stock forecast email message note task event order flight hotel ticket light door song user account balance
invoice report file record item device sensor room alarm timer city country word""".split()


def date(r):
    return f'202{r.randint(4, 9)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}'


def text(r):
    return phrase(r, 1, 4)


def symbol(r):
    return ''.join(r.choice(string.ascii_uppercase) for _ in range(r.randint(2, 4)))


def path(r):
    return f"{word(r)}/{word(r)}.{r.choice(['txt', 'md', 'csv'])}"


def email(r):
    return f'{name(r).lower()}@{word(r)}.com'


# name, JSON type, how its values are drawn
PARAMS = [('city', 'string', city), ('location', 'string', city), ('name', 'string', name), ('user', 'string', name),
          ('to', 'string', name), ('id', 'number', number), ('amount', 'number', number), ('count', 'number', number),
          ('query', 'string', word), ('text', 'string', text), ('title', 'string', text), ('item', 'string', word),
          ('room', 'string', word), ('symbol', 'string', symbol), ('date', 'string', date), ('minutes', 'number', number),
          ('path', 'string', path), ('key', 'string', word), ('value', 'string', word), ('email', 'string', email)]


@dataclass
class Param:
    name: str
    type: str
    description: str
    required: bool
    draw: object = field(repr=False)


@dataclass
class Function:
    name: str
    description: str
    params: list
    verb: str
    noun: str

    def spec(self):
        """The function as plain data, with its parameters as a JSON schema (none: null)."""
        if not self.params:
            return dict(name=self.name, description=self.description, parameters=None)
        properties = {p.name: dict(type=p.type, **({'description': p.description} if p.description else {})) for p in self.params}
        return dict(name=self.name, description=self.description,
                    parameters=dict(type='object', properties=properties, required=[p.name for p in self.params if p.required]))


def named(verb, noun, snake):
    return f'{verb}_{noun}' if snake else f'{verb}{noun.capitalize()}'


def rename(f, verb, noun):
    """Give the function another verb or noun; its description keeps the old words."""
    f.name, f.verb, f.noun = named(verb.replace(' ', '_'), noun, '_' in f.name), verb, noun


def function(r):
    verb, noun = r.choice(VERBS), (r.choice(NOUNS) if r.random() < .8 else letters(r))
    title = named(verb, noun, r.random() < .9)
    chosen = r.sample(PARAMS, r.choice([0, 1, 1, 1, 2, 2, 3]))
    params = [Param(n, kind, r.choice(['', '', f'The {n}.', f'The {n} to use.']), r.random() < .9, draw) for n, kind, draw in chosen]
    verb = verb.replace('_', ' ')
    description = r.choice([f'{verb.capitalize()} the {noun}.', f'{verb.capitalize()}s a {noun}.', f'Use this to {verb} the {noun}.', f'{verb.capitalize()} {noun}'])
    return Function(title, description, params, verb, noun)


def get_price(r):
    """The function of the `multi` episodes; it takes one draw of `function` so that episodes stay what they were."""
    function(r)
    return Function('get_price', 'Gets the price of an item.', [Param('item', 'string', '', True, word)], 'get', 'price')


def unique(functions, f):
    return f.name not in [g.name for g in functions if g is not f]


def arguments(r, f):
    return {p.name: p.draw(r) for p in f.params}


def request(r, f, args):
    """How a user asks for a call."""
    verb, noun = f.verb.capitalize(), f.noun
    if not args:
        return r.choice([f'{verb} the {noun}.', f'Please {f.verb} the {noun}.', f'Can you {f.verb} the {noun}?', f'Call {f.name}.'])
    bits = []
    for p, a in args.items():
        bits.append(r.choice([f'{p} {a}', f'{p} = {a}', f'{p}: {a}', f'the {p} {a}']) if len(args) > 1 or r.random() < .5 else f'{a}')
    given = r.choice([', ', ' and ']).join(bits) if len(bits) < 3 else ', '.join(bits)
    return r.choice([f'{verb} the {noun} for {given}.', f'Please {f.verb} the {noun} with {given}.', f'{verb} the {noun} ({given}).',
                     f'Call {f.name} with {given}.', f'Use {f.name} for {given}.', f'Can you {f.verb} the {noun} for {given}?'])


def outcome(r):
    """What a function gives back, and how the model reports it."""
    kind = r.randrange(5)
    if kind == 0:
        value = {r.choice(['value', 'result', 'price', 'total', 'temperature', 'count']): number(r)}
    elif kind == 1:
        value = {'status': r.choice(['ok', 'done', 'sent', 'created']), 'id': number(r)}
    elif kind == 2:
        value = {r.choice(['name', 'title', 'city', 'text']): phrase(r, 1, 3)}
    elif kind == 3:
        value = {r.choice(['temperature', 'wind', 'price']): small(r), r.choice(['sky', 'state', 'unit']): word(r)}
    else:
        plain = phrase(r, 1, 4)
        return plain, f'The result is: {plain}'
    return json.dumps(value), '; '.join(f'{k}: {v}' for k, v in value.items()) + '.'
