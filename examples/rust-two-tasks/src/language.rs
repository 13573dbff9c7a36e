//! A language model of bytes: a feed-forward network that sees the last few of them.

use crate::random::Random;

const CONTEXT: usize = 4;
const EMBED: usize = 8;
const HIDDEN: usize = 32;
const LR: f32 = 0.02;
const INPUT: usize = CONTEXT * EMBED;
const BYTES: usize = 256;

/// The weights, row by row: a row of `embed` for each byte, one of `hidden` for each hidden unit, one of
/// `output` for each byte.
pub struct Ffn {
    embed: Vec<f32>,
    hidden: Vec<f32>,
    output: Vec<f32>,
}

impl Ffn {
    fn new(random: &mut Random) -> Self {
        let mut some =
            |count: usize, scale: f32| (0..count).map(|_| random.even() * scale).collect();
        Ffn {
            embed: some(BYTES * EMBED, 0.5),
            hidden: some(HIDDEN * INPUT, (1.0 / INPUT as f32).sqrt()),
            output: some(BYTES * HIDDEN, 0.0),
        }
    }

    /// What the network computes of a context: its input, its hidden units, and a logit for each byte.
    fn forward(&self, context: &[u8]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let rows = context
            .iter()
            .map(|&byte| &self.embed[byte as usize * EMBED..][..EMBED]);
        let input = rows.collect::<Vec<_>>().concat();
        let hidden = products(&self.hidden, &input)
            .into_iter()
            .map(f32::tanh)
            .collect::<Vec<_>>();
        let logits = products(&self.output, &hidden);
        (input, hidden, logits)
    }

    /// The logits of the byte that follows a text.
    pub fn logits(&self, text: &[u8]) -> Vec<f32> {
        self.forward(&text[text.len() - CONTEXT..]).2
    }
}

/// The product of each row of a matrix with a vector.
fn products(matrix: &[f32], vector: &[f32]) -> Vec<f32> {
    let row = |row: &[f32]| row.iter().zip(vector).map(|(a, b)| a * b).sum();
    matrix.chunks_exact(vector.len()).map(row).collect()
}

/// Trains a network by plain gradient descent, once over the text, a byte at a time.
pub fn learn_ffn(text: &[u8]) -> Ffn {
    let mut model = Ffn::new(&mut Random::new(7));
    for at in CONTEXT..text.len() {
        let context = &text[at - CONTEXT..at];
        let (input, hidden, logits) = model.forward(context);
        let most = logits.iter().copied().fold(f32::MIN, f32::max);
        let mut error: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
        let total: f32 = error.iter().sum();
        error.iter_mut().for_each(|each| *each /= total);
        error[text[at] as usize] -= 1.0;
        let mut of_hidden = vec![0.0; HIDDEN];
        for (row, &off) in model.output.chunks_exact_mut(HIDDEN).zip(&error) {
            for i in 0..HIDDEN {
                of_hidden[i] += off * row[i];
                row[i] -= LR * off * hidden[i];
            }
        }
        let mut of_input = vec![0.0; INPUT];
        for (i, row) in model.hidden.chunks_exact_mut(INPUT).enumerate() {
            let off = of_hidden[i] * (1.0 - hidden[i] * hidden[i]);
            for j in 0..INPUT {
                of_input[j] += off * row[j];
                row[j] -= LR * off * input[j];
            }
        }
        for (&byte, off) in context.iter().zip(of_input.chunks_exact(EMBED)) {
            let row = &mut model.embed[byte as usize * EMBED..][..EMBED];
            row.iter_mut()
                .zip(off)
                .for_each(|(weight, off)| *weight -= LR * off);
        }
    }
    model
}

/// The bits that the model needs for a byte of a text, of which it may see the 64 bytes before. Its logits are
/// normalised here.
pub fn eval_ffn(model: &Ffn, text: &[u8]) -> f64 {
    let mut bits = 0.0;
    for at in 64..text.len() {
        let logits = model.logits(&text[at - 64..at]);
        assert_eq!(logits.len(), 256);
        let most = logits.iter().copied().fold(f32::MIN, f32::max) as f64;
        let total: f64 = logits
            .iter()
            .map(|&logit| (logit as f64 - most).exp())
            .sum();
        bits += (total.ln() + most - logits[text[at] as usize] as f64) / std::f64::consts::LN_2;
    }
    bits / (text.len() - 64) as f64
}
