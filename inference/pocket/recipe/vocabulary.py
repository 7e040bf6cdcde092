"""Words, names and numbers that the episodes are filled with. Every draw takes the generator `r` first."""
import string

WORDS = """apple river stone cloud tiger maple silver garden copper ocean violet harbor lemon winter summer rocket planet forest
desert island bridge castle window mirror pencil marble candle basket ladder hammer anchor button carpet dragon engine feather
guitar helmet jacket kettle lantern magnet needle orange paper quartz ribbon saddle temple umbrella valley wagon yellow zebra
bottle cotton dinner eagle falcon ginger honey indigo jungle kitten lizard monkey nectar olive parrot quiver rabbit salmon turtle
unicorn velvet walnut amber bamboo cactus daisy ember fossil glacier hazel ivory jasmine koala lotus meadow nebula orchid pebble
quill raven saffron thunder urchin vapor willow yarn zenith""".split()
CITIES = """Paris London Berlin Madrid Rome Vienna Prague Lisbon Dublin Oslo Tokyo Seoul Busan Delhi Mumbai Cairo Lagos Nairobi
Lima Quito Bogota Toronto Boston Chicago Denver Seattle Austin Miami Sydney Perth Auckland Zurich Geneva Milan Athens Warsaw
Helsinki Stockholm Copenhagen Istanbul""".split()
NAMES = """Alice Bob Carol David Emma Frank Grace Henry Irene Jack Karen Liam Maria Noah Olivia Peter Quinn Rosa Sam Tina Uma
Victor Wendy Xavier Yuna Zoe Minji Hyun Arjun Priya Chen Wei""".split()

RANDOM = .4   # share of random letter strings among words; among names and cities in proportion. Training may raise it.
REPEATED = 0  # share of numbers with few different digits, which are harder to copy; in training only


def letters(r, low=3, high=9):
    return ''.join(r.choice(string.ascii_lowercase) for _ in range(r.randint(low, high)))


def word(r):
    return r.choice(WORDS) if r.random() < 1 - RANDOM else letters(r)


def words(r, low, high):
    return [word(r) for _ in range(r.randint(low, high))]


def phrase(r, low, high):
    return ' '.join(words(r, low, high))


def name(r):
    return r.choice(NAMES) if r.random() < 1 - .75 * RANDOM else letters(r).capitalize()


def city(r):
    return r.choice(CITIES) if r.random() < 1 - .625 * RANDOM else letters(r).capitalize()


def number(r):
    """A number of one to five digits, mostly two or three."""
    digits = r.choice([1, 2, 2, 3, 3, 4, 5])
    if REPEATED and r.random() < REPEATED:
        return int(r.choice('123456789') + ''.join(r.choice(r.sample('0123456789', 2)) for _ in range(digits)))
    return r.randint(0 if digits == 1 else 10 ** (digits - 1), 10 ** digits - 1)


def small(r):
    return r.randint(2, 99)
