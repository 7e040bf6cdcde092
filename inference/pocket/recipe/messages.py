"""Harmony messages as text, equal to what openai-harmony renders.

A piece is (text, said): `said` marks what the model must say. Control tokens stand as text.
"""
import json

PYTHON_TOOL = """## python

Use this tool to execute Python code in your chain of thought. The code will not be shown to the user. This tool should be used for internal reasoning, but not for code that is intended to be visible to the user (e.g. when creating plots, tables, or files).

When you send a message containing Python code to python, it will be executed in a stateful Jupyter notebook environment. python will respond with the output of the execution or time out after 120.0 seconds. The drive at '/mnt/data' can be used to save and persist user files. Internet access for this session is UNKNOWN. Depends on the cluster.
"""
BROWSER_TOOL = """## browser

// Tool for browsing.
// The `cursor` appears in brackets before each browsing display: `[{cursor}]`.
// Cite information from the tool using the following format:
// `【{cursor}†L{line_start}(-L{line_end})?】`, for example: `【6†L9-L11】` or `【8†L3】`.
// Do not quote more than 10 words directly from the tool output.
// sources=web (default: web)
namespace browser {

// Searches for information related to `query` and displays `topn` results.
type search = (_: {
query: string,
topn?: number, // default: 10
source?: string,
}) => any;

// Opens the link `id` from the page indicated by `cursor` starting at line number `loc`, showing `num_lines` lines.
// Valid link ids are displayed with the formatting: `【{id}†.*】`.
// If `cursor` is not provided, the most recent page is implied.
// If `id` is a string, it is treated as a fully qualified URL associated with `source`.
// If `loc` is not provided, the viewport will be positioned at the beginning of the document or centered on the most relevant passage, if available.
// Use this function without `id` to scroll to a new location of an opened page.
type open = (_: {
id?: number | string, // default: -1
cursor?: number, // default: -1
loc?: number, // default: -1
num_lines?: number, // default: -1
view_source?: boolean, // default: false
source?: string,
}) => any;

// Finds exact matches of `pattern` in the current page, or the page given by `cursor`.
type find = (_: {
pattern: string,
cursor?: number, // default: -1
}) => any;

} // namespace browser
"""
CHANNELS = '# Valid channels: analysis, commentary, final. Channel must be included for every message.'
ASSISTANT = ('<|start|>assistant', 0)
IDENTITIES = ['You are an autonomous agent.', 'You are a helpful assistant.', 'You are Pocket, a small language model.']

SHORT = 0.0   # chance of a system message without date and tool texts: training may raise it to save tokens


def system(r, tools, effort, functions):
    """The system message. Its date and identity are drawn independently of all else in the episode."""
    brief = r.random() < SHORT
    identity = 'You are ChatGPT, a large language model trained by OpenAI.'
    if r.random() < .3:
        identity = r.choice(IDENTITIES)
    text = identity + '\n'
    if not brief and r.random() < .9:
        text += 'Knowledge cutoff: 2024-06\n'
    if not brief and r.random() < .9:
        text += f'Current date: 202{r.randint(5, 9)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}\n'
    text += f'\nReasoning: {effort}\n\n'
    shown = [] if brief else [t for n, t in (('browser', BROWSER_TOOL), ('python', PYTHON_TOOL)) if n in tools]
    if shown:
        text += '# Tools\n\n' + '\n'.join(shown) + '\n'
    text += CHANNELS
    if functions:
        text += "\nCalls to these tools must go to the commentary channel: 'functions'."
    return f'<|start|>system<|message|>{text}<|end|>', 0


def developer(instructions, functions):
    """The developer message as a list of no or one piece: instructions, then the functions as TypeScript."""
    parts = []
    if instructions:
        parts.append('# Instructions\n\n' + instructions)
    if functions:
        parts.append('# Tools\n\n## functions\n\nnamespace functions {\n\n' + ''.join(map(declaration, functions)) + '} // namespace functions')
    return [('<|start|>developer<|message|>' + '\n\n'.join(parts) + '<|end|>', 0)] if parts else []


def declaration(f):
    text = f'// {f.description}\n'
    if not f.params:
        return text + f'type {f.name} = () => any;\n\n'
    text += f'type {f.name} = (_: {{\n'
    for p in f.params:
        if p.description:
            text += f'// {p.description}\n'
        text += f"{p.name}{'' if p.required else '?'}: {p.type},\n"
    return text + '}) => any;\n\n'


def user(text):
    return f'<|start|>user<|message|>{text}<|end|>', 0


def analysis(effort, gist):
    """What the model thinks before it acts: nothing at low effort."""
    if effort == 'low':
        return []
    text = f'I need to {gist}.'
    if effort == 'high':
        text += ' I will use a tool so that the result is exact.'
    return [ASSISTANT, (f'<|channel|>analysis<|message|>{text}<|end|>', 1)]


def call_python(code):
    return [ASSISTANT, (f'<|channel|>analysis to=python code<|message|>{code}<|call|>', 1)]


def call_browser(name, args):
    return [ASSISTANT, (f'<|channel|>analysis to=browser.{name} code<|message|>{json.dumps(args, ensure_ascii=False)}<|call|>', 1)]


def call_function(name, args):
    return [ASSISTANT, (f'<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{json.dumps(args, ensure_ascii=False)}<|call|>', 1)]


def result(tool, text):
    """What a tool gives back; functions answer on the commentary channel, python and browser on analysis."""
    channel = 'commentary' if tool.startswith('functions.') else 'analysis'
    return [(f'<|start|>{tool} to=assistant<|channel|>{channel}<|message|>{text}<|end|>', 0)]


def final(text):
    return [ASSISTANT, (f'<|channel|>final<|message|>{text}<|return|>', 1)]


DENIALS = ['Denied by policy: {why}', 'denied by policy: {why}', 'Error: denied by policy ({why})']
REASONS = ['tool is not allowed', 'domain is not allowed', 'approval was refused', 'argument is not allowed', 'budget is used up',
           'writes are not allowed', 'network is off']


def denial(r, phrase):
    """A tool's refusal and the honest answer to it."""
    why = r.choice(REASONS) if r.random() < .7 else phrase(r, 2, 4)
    text = r.choice(DENIALS).format(why=why)
    return text, f'I could not do this. The tool said: {text}'
