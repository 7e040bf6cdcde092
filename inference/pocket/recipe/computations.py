"""Small computations: what a user asks, the Python that does it, and how the answer is worded."""
import contextlib
import datetime
import io
from dataclasses import dataclass

from vocabulary import number, phrase, small, word


@dataclass
class Task:
    question: str
    code: str
    answer: str          # with {out} for what the code prints
    gist: str            # what the model says it needs to do
    output: str = ''     # what the code prints

    def answered(self):
        return self.answer.format(out=self.output.strip())


@dataclass
class Values:
    """What is drawn before the task is: every task uses some of it."""
    a: int
    b: int
    c: int
    numbers: list
    text: str
    one: str

    @property
    def listed(self):
        return ', '.join(map(str, self.numbers))


def task(r):
    make = TASKS[r.randrange(len(TASKS))]
    values = Values(number(r), number(r), small(r), [small(r) for _ in range(r.randint(3, 7))], phrase(r, 1, 3), word(r))
    t = make(r, values)
    t.output = 'saved\n' if '/mnt/data/' in t.code else run(t.code)
    if t.answer is None:   # the test for a prime: the wording depends on what the code prints
        n = t.gist.split()[2]
        t.answer = f'Yes, {n} is prime.' if t.output.strip() == 'True' else f'No, {n} is not prime.'
    return t


def run(code):
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(code, {})
        return out.getvalue()
    except Exception as e:
        return out.getvalue() + f'{type(e).__name__}: {e}\n'


def multiply(r, v):
    return Task(r.choice((f'What is {v.a} * {v.b}?', f'Compute {v.a} * {v.b}.', f'Multiply {v.a} by {v.b}.', f'What is {v.a} times {v.b}?', f'Calculate {v.a} x {v.b}')),
                f'print({v.a} * {v.b})', f'{v.a} * {v.b} = {{out}}.', f'multiply {v.a} by {v.b}')


def add(r, v):
    return Task(r.choice((f'What is {v.a} + {v.b}?', f'Add {v.a} and {v.b}.', f'Compute {v.a} + {v.b}.', f'What is {v.a} plus {v.b}?', f'Sum {v.a} and {v.b}')),
                f'print({v.a} + {v.b})', f'{v.a} + {v.b} = {{out}}.', f'add {v.a} and {v.b}')


def subtract(r, v):
    return Task(r.choice((f'What is {v.a} - {v.b}?', f'Subtract {v.b} from {v.a}.', f'Compute {v.a} - {v.b}.', f'What is {v.a} minus {v.b}?')),
                f'print({v.a} - {v.b})', f'{v.a} - {v.b} = {{out}}.', f'subtract {v.b} from {v.a}')


def divide(r, v):
    return Task(r.choice((f'What is {v.a} divided by {v.c}?', f'Divide {v.a} by {v.c}.', f'Compute {v.a} / {v.c}.')),
                f'print(round({v.a} / {v.c}, 4))', f'{v.a} / {v.c} = {{out}}.', f'divide {v.a} by {v.c}')


def remainder(r, v):
    return Task(r.choice((f'What is the remainder of {v.a} divided by {v.c}?', f'Compute {v.a} mod {v.c}.', f'What is {v.a} % {v.c}?')),
                f'print({v.a} % {v.c})', f'{v.a} mod {v.c} = {{out}}.', f'find {v.a} mod {v.c}')


def total(r, v):
    return Task(r.choice((f'Sum the numbers {v.listed}.', f'What is the sum of {v.listed}?', f'Add up {v.listed}.')),
                f'print(sum([{v.listed}]))', 'The sum is {out}.', 'sum the list')


def average(r, v):
    return Task(r.choice((f'What is the average of {v.listed}?', f'Compute the mean of {v.listed}.')),
                f'x = [{v.listed}]\nprint(round(sum(x) / len(x), 2))', 'The average is {out}.', 'average the list')


def sort(r, v):
    return Task(r.choice((f'Sort {v.listed}.', f'Sort these numbers: {v.listed}.', f'Put {v.listed} in order.')),
                f'print(sorted([{v.listed}]))', 'Sorted: {out}.', 'sort the list')


def largest(r, v):
    return Task(r.choice((f'What is the largest of {v.listed}?', f'Find the maximum of {v.listed}.')),
                f'print(max([{v.listed}]))', 'The largest is {out}.', 'find the maximum')


def smallest(r, v):
    return Task(r.choice((f'What is the smallest of {v.listed}?', f'Find the minimum of {v.listed}.')),
                f'print(min([{v.listed}]))', 'The smallest is {out}.', 'find the minimum')


def factorial(r, v):
    n = r.randint(2, 15)
    return Task(r.choice((f'What is the factorial of {n}?', f'Compute {n} factorial.', f'What is {n}!?')),
                f'import math\nprint(math.factorial({n}))', f'The factorial of {n} is {{out}}.', f'compute the factorial of {n}')


def square_root(r, v):
    return Task(r.choice((f'What is the square root of {v.a}?', f'Compute the square root of {v.a}.')),
                f'import math\nprint(round(math.sqrt({v.a}), 4))', f'The square root of {v.a} is {{out}}.', f'take the square root of {v.a}')


def power(r, v):
    n, m = r.randint(2, 20), r.randint(2, 9)
    return Task(r.choice((f'What is {n} to the power of {m}?', f'Compute {n} ** {m}.', f'Raise {n} to the power {m}.')),
                f'print({n} ** {m})', f'{n} ** {m} = {{out}}.', f'raise {n} to the power {m}')


def reverse(r, v):
    return Task(r.choice((f"Reverse the text '{v.text}'.", f"Write '{v.text}' backwards.", f"Spell '{v.text}' backwards.")),
                f'print({v.text!r}[::-1])', 'Reversed: {out}', 'reverse the text')


def length(r, v):
    return Task(r.choice((f"How many letters are in '{v.one}'?", f"Count the letters in '{v.one}'.", f"How long is the word '{v.one}'?")),
                f'print(len({v.one!r}))', f"'{v.one}' has {{out}} letters.", 'count the letters')


def occurrences(r, v):
    letter = r.choice(v.one)
    return Task(r.choice((f"How many times does '{letter}' occur in '{v.one}'?", f"Count the letter '{letter}' in '{v.one}'.")),
                f'print({v.one!r}.count({letter!r}))', f"The letter '{letter}' occurs {{out}} times in '{v.one}'.", f'count the letter {letter}')


def upper_case(r, v):
    return Task(r.choice((f"Convert '{v.text}' to upper case.", f"Write '{v.text}' in capital letters.", f"Make '{v.text}' upper case.")),
                f'print({v.text!r}.upper())', '{out}', 'convert to upper case')


def prime(r, v):
    n = r.randint(2, 999)
    return Task(r.choice((f'Is {n} prime?', f'Is {n} a prime number?', f'Check whether {n} is prime.')),
                f'n = {n}\nprint(n > 1 and all(n % i for i in range(2, int(n ** 0.5) + 1)))', None, f'check whether {n} is prime')


def fibonacci(r, v):
    n = r.randint(3, 12)
    return Task(r.choice((f'List the first {n} Fibonacci numbers.', f'Give me the first {n} Fibonacci numbers.')),
                f'x = [0, 1]\nwhile len(x) < {n}:\n    x.append(x[-1] + x[-2])\nprint(x[:{n}])', f'The first {n} Fibonacci numbers are {{out}}.', f'list {n} Fibonacci numbers')


def days_between(r, v):
    first = datetime.date(2020, 1, 1) + datetime.timedelta(days=r.randint(0, 3000))
    last = first + datetime.timedelta(days=r.randint(1, 900))
    return Task(r.choice((f'How many days are there between {first} and {last}?', f'Count the days from {first} to {last}.')),
                f"from datetime import date\nprint((date.fromisoformat('{last}') - date.fromisoformat('{first}')).days)", f'There are {{out}} days between {first} and {last}.', 'count the days')


def squares(r, v):
    n = r.randint(2, 12)
    return Task(r.choice((f'What is the sum of the squares from 1 to {n}?', f'Add the squares of the numbers 1 to {n}.')),
                f'print(sum(i * i for i in range(1, {n} + 1)))', f'The sum of the squares from 1 to {n} is {{out}}.', f'sum the squares up to {n}')


def save(r, v):
    file = word(r) + r.choice(('.txt', '.csv', '.md'))
    return Task(r.choice((f"Write '{v.text}' to the file {file}.", f"Save the text '{v.text}' in {file}.", f"Create the file {file} with the text '{v.text}'.")),
                f"with open('/mnt/data/{file}', 'w') as f:\n    f.write({v.text!r})\nprint('saved')", f"I wrote '{v.text}' to /mnt/data/{file}.", f'write the file {file}')


TASKS = [multiply, add, subtract, divide, remainder, total, average, sort, largest, smallest, factorial, square_root, power, reverse,
         length, occurrences, upper_case, prime, fibonacci, days_between, squares, save]
