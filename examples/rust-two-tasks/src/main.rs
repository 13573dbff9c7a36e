//! Two small things that learn, in one program: `two-tasks language` and `two-tasks mazes`.

mod language;
mod mazes;
mod random;

/// Bytes of text that the language model learns from, and that it is scored on.
const TRAIN_BYTES: usize = 60_000;
const VALID_BYTES: usize = 8_000;

fn language() {
    let text = language_text(random::Random::new(1), TRAIN_BYTES + VALID_BYTES);
    let (train, valid) = text.split_at(TRAIN_BYTES);
    let model = language::learn_ffn(train);
    println!("val_bpb: {:.6}", language::eval_ffn(&model, valid));
}

fn mazes() {
    let walker = mazes::learn_walker(&mazes::mazes(1, 200));
    println!(
        "error: {:.6}",
        1.0 - mazes::eval_walker(&walker, &mazes::mazes(2, 400))
    );
}

/// Sentences of a small grammar, whose words agree in number.
fn language_text(mut random: random::Random, bytes: usize) -> Vec<u8> {
    const NOUNS: [&str; 8] = [
        "cat", "river", "lamp", "teacher", "garden", "stone", "bird", "engine",
    ];
    const VERBS: [&str; 6] = ["see", "follow", "paint", "forget", "cover", "warm"];
    const KINDS: [&str; 6] = ["small", "green", "quiet", "old", "careful", "bright"];
    let mut text = String::new();
    while text.len() < bytes {
        let many = random.below(2) == 1;
        let mut noun = |many: bool| {
            let article = if many { "some" } else { "the" };
            let kind = if random.below(3) == 0 {
                format!("{} ", random.of(&KINDS))
            } else {
                String::new()
            };
            format!(
                "{article} {kind}{}{}",
                random.of(&NOUNS),
                if many { "s" } else { "" }
            )
        };
        let (subject, object) = (noun(many), noun(!many));
        let verb = random.of(&VERBS);
        text += &format!(
            "{subject} {verb}{} {object}.\n",
            if many { "" } else { "s" }
        );
    }
    text.into_bytes()[..bytes].to_vec()
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("language") => language(),
        Some("mazes") => mazes(),
        _ => {
            eprintln!("usage: two-tasks language|mazes");
            std::process::exit(2);
        }
    }
}
