//! The Rust crates, for the benchmark beside us: see ../../peers.go.
//!
//!     peer FOLDER    answers the lines "LIBRARY WORK SECONDS" on its input
//!
//! FOLDER holds the inputs and the vocabulary.

use openai_harmony::chat::{Content, Conversation};
use openai_harmony::{load_harmony_encoding, HarmonyEncoding, HarmonyEncodingName, StreamableParser};
use std::io::{BufRead, Write};
use std::path::PathBuf;

/// CPU time of this process in seconds.
fn cpu() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

/// Runs the work until the time is spent and returns the time of one run with
/// the last result.
fn time<T>(seconds: f64, mut work: impl FnMut() -> T) -> (f64, T) {
    let start = cpu();
    let mut runs = 0;
    loop {
        let result = std::hint::black_box(work());
        runs += 1;
        let spent = cpu() - start;
        if spent >= seconds {
            return (spent / runs as f64, result);
        }
    }
}

fn fingerprint(tokens: &[u32]) -> u64 {
    tokens.iter().fold(0, |h: u64, &t| h.wrapping_mul(31).wrapping_add(t as u64))
}

enum Library {
    Harmony(HarmonyEncoding),
    Tiktoken(tiktoken_rs::CoreBPE),
    Bpe(&'static bpe_openai::Tokenizer),
}

impl Library {
    fn load(name: &str) -> Self {
        match name {
            "openai-harmony" => Library::Harmony(load_harmony_encoding(HarmonyEncodingName::HarmonyGptOss).unwrap()),
            "tiktoken-rs" => Library::Tiktoken(tiktoken_rs::o200k_harmony().unwrap()),
            "bpe-openai" => {
                let t = bpe_openai::o200k_base();
                t.encode("x"); // loads lazily
                Library::Bpe(t)
            }
            _ => panic!("no library {name}"),
        }
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        match self {
            Library::Harmony(e) => e.tokenizer().encode_ordinary(text),
            Library::Tiktoken(e) => e.encode_ordinary(text),
            Library::Bpe(e) => e.encode(text),
        }
    }

    fn decode(&self, tokens: &[u32]) -> usize {
        match self {
            Library::Harmony(e) => e.tokenizer().decode_utf8(tokens).unwrap().len(),
            Library::Tiktoken(e) => e.decode_bytes(tokens).unwrap().len(),
            Library::Bpe(e) => e.decode(tokens).unwrap().len(),
        }
    }

    fn harmony(&self) -> &HarmonyEncoding {
        match self {
            Library::Harmony(e) => e,
            _ => panic!("it has no Harmony format"),
        }
    }
}

fn parse(e: &HarmonyEncoding, tokens: &[u32]) -> u64 {
    let messages = e.parse_messages_from_completion_tokens(tokens.iter().copied(), None).unwrap();
    let mut size = 0;
    for content in messages.iter().flat_map(|m| m.content.iter()) {
        if let Content::Text(t) = content {
            size += t.text.len();
        }
    }
    size as u64
}

fn stream(e: &HarmonyEncoding, tokens: &[u32]) -> u64 {
    let mut parser = StreamableParser::new(e.clone(), None).unwrap();
    let mut size = 0;
    for &t in tokens {
        parser.process(t).unwrap();
        size += parser.last_content_delta().unwrap().map_or(0, |d| d.len());
    }
    size as u64
}

fn content(e: &HarmonyEncoding, tokens: &[u32]) -> u64 {
    let mut parser = StreamableParser::new(e.clone(), None).unwrap();
    let mut size = 0;
    for &t in tokens {
        parser.process(t).unwrap();
        let content = std::hint::black_box(parser.current_content().unwrap());
        if !content.is_empty() {
            size = content.len();
        }
    }
    size as u64
}

struct Inputs(PathBuf);

impl Inputs {
    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn tokens(&self, name: &str) -> Vec<u32> {
        serde_json::from_str(&self.text(&format!("{name}.json"))).unwrap()
    }

    fn wrong(&self, library: &Library) -> u64 {
        let mut n = 0;
        for line in self.text("vectors.jsonl").split('\n').filter(|l| !l.is_empty()) {
            let v: serde_json::Value = serde_json::from_str(line).unwrap();
            let want: Vec<u32> = serde_json::from_value(v["tokens"].clone()).unwrap();
            n += (library.encode(v["text"].as_str().unwrap()) != want) as u64;
        }
        n
    }

    fn answer(&self, library: &Library, work: &str, seconds: f64) -> (f64, u64) {
        match work {
            "vectors" => (0.0, self.wrong(library)),
            "encode" | "spaces" | "letters" => {
                let text = self.text(&format!("{work}.txt"));
                let (t, tokens) = time(seconds, || library.encode(&text));
                (t, fingerprint(&tokens))
            }
            "decode" => {
                let tokens = self.tokens(work);
                let (t, size) = time(seconds, || library.decode(&tokens));
                (t, size as u64)
            }
            "render" => {
                let conversation: Conversation = serde_json::from_str(&self.text("render.json")).unwrap();
                let e = library.harmony();
                let (t, tokens) = time(seconds, || e.render_conversation(&conversation.messages, None).unwrap());
                (t, fingerprint(&tokens))
            }
            _ => {
                let tokens = self.tokens(work);
                let e = library.harmony();
                let run = match work {
                    "parse" => parse,
                    "content" => content,
                    _ => stream,
                };
                time(seconds, || run(e, &tokens))
            }
        }
    }
}

fn main() {
    let folder = std::env::args().nth(1).expect("usage: peer FOLDER");
    std::env::set_var("TIKTOKEN_ENCODINGS_BASE", &folder);
    let inputs = Inputs(folder.into());
    let mut loaded = std::collections::HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let (library, work, seconds) = (words[0], words[1], words[2].parse().unwrap());
        let (t, check) = if work == "load" {
            let start = cpu();
            loaded.insert(library.to_owned(), Library::load(library));
            (cpu() - start, 0)
        } else {
            inputs.answer(&loaded[library], work, seconds)
        };
        println!("{t:e} {check}");
        std::io::stdout().flush().unwrap();
    }
}
