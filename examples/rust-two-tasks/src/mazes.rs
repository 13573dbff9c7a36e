//! Mazes, and a walker that learns from shortest paths which way to turn.

use crate::random::Random;

/// Cells on each side; the walker starts in the first cell and is to reach the last one.
const SIZE: usize = 9;
const CELLS: usize = SIZE * SIZE;
const GOAL: usize = CELLS - 1;
/// Steps in which it must be there.
const STEPS: usize = CELLS * 2 / 3;

/// For each cell the cells behind its four sides (north, east, south, west), where there is no wall.
pub type Maze = Vec<[Option<usize>; 4]>;

/// What a walker sees in a cell.
pub struct View {
    /// Which of the four sides are open.
    pub open: [bool; 4],
    /// The side that it came in by; 4 at the start.
    pub from: usize,
    /// How often it has been in the cells behind the four sides. The first walker does not look.
    #[allow(dead_code)]
    pub visits: [u32; 4],
}

impl View {
    /// A number for what is seen of the walls: 0 to 79.
    pub fn situation(&self) -> usize {
        let open = (0..4)
            .filter(|&side| self.open[side])
            .map(|side| 1 << side)
            .sum::<usize>();
        self.from * 16 + open
    }
}

/// How often each side was the right one, by situation.
pub struct Walker {
    counts: Vec<[u32; 4]>,
}

impl Walker {
    /// The side to leave by.
    pub fn step(&self, view: &View) -> usize {
        let counts = &self.counts[view.situation()];
        let open = (0..4).filter(|&side| view.open[side]);
        open.max_by_key(|&side| counts[side]).unwrap()
    }
}

/// Counts the turns of the shortest paths.
pub fn learn_walker(mazes: &[Maze]) -> Walker {
    let mut walker = Walker {
        counts: vec![[0; 4]; 80],
    };
    for maze in mazes {
        let (mut from, mut cell) = (4, 0);
        for side in path(maze) {
            walker.counts[view(maze, cell, from, &[0; CELLS]).situation()][side] += 1;
            cell = maze[cell][side].unwrap();
            from = (side + 2) % 4;
        }
    }
    walker
}

/// The share of mazes in which the walker reaches the goal in time.
pub fn eval_walker(walker: &Walker, mazes: &[Maze]) -> f64 {
    let solved = |maze: &&Maze| {
        let (mut from, mut cell, mut visits) = (4, 0, [0; CELLS]);
        for _ in 0..STEPS {
            visits[cell] += 1;
            let side = walker.step(&view(maze, cell, from, &visits));
            match maze[cell][side] {
                Some(GOAL) => return true,
                Some(next) => (from, cell) = ((side + 2) % 4, next),
                None => return false,
            }
        }
        false
    };
    mazes.iter().filter(solved).count() as f64 / mazes.len() as f64
}

fn view(maze: &Maze, cell: usize, from: usize, visits: &[u32; CELLS]) -> View {
    View {
        open: maze[cell].map(|next| next.is_some()),
        from,
        visits: maze[cell].map(|next| next.map_or(0, |next| visits[next])),
    }
}

/// The sides to leave by on the shortest path to the goal.
fn path(maze: &Maze) -> Vec<usize> {
    let mut way: Vec<Option<Vec<usize>>> = vec![None; CELLS];
    way[0] = Some(vec![]);
    let mut queue = std::collections::VecDeque::from([0]);
    while let Some(cell) = queue.pop_front() {
        for side in 0..4 {
            if let Some(next) = maze[cell][side].filter(|&next| way[next].is_none()) {
                let so_far = way[cell].clone().unwrap();
                way[next] = Some([so_far, vec![side]].concat());
                queue.push_back(next);
            }
        }
    }
    way[GOAL].clone().unwrap()
}

/// Mazes in which one way leads from each cell to each other, and some walls more are open.
pub fn mazes(seed: u64, count: usize) -> Vec<Maze> {
    let mut random = Random::new(seed);
    (0..count).map(|_| maze(&mut random)).collect()
}

fn maze(random: &mut Random) -> Maze {
    let mut maze = vec![[None; 4]; CELLS];
    let mut seen = [false; CELLS];
    seen[0] = true;
    let mut trail = vec![0];
    while let Some(&cell) = trail.last() {
        let unseen = |&side: &usize| beside(cell, side).is_some_and(|next| !seen[next]);
        let sides: Vec<usize> = (0..4).filter(unseen).collect();
        if sides.is_empty() {
            trail.pop();
            continue;
        }
        let side = sides[random.below(sides.len())];
        let next = beside(cell, side).unwrap();
        seen[next] = true;
        trail.push(next);
        open(&mut maze, cell, side);
    }
    for _ in 0..SIZE {
        open(&mut maze, random.below(CELLS), random.below(4));
    }
    maze
}

fn open(maze: &mut Maze, cell: usize, side: usize) {
    if let Some(next) = beside(cell, side) {
        maze[cell][side] = Some(next);
        maze[next][(side + 2) % 4] = Some(cell);
    }
}

/// The cell behind a side, if there is one.
fn beside(cell: usize, side: usize) -> Option<usize> {
    let (row, column) = (cell / SIZE, cell % SIZE);
    match side {
        0 if row > 0 => Some(cell - SIZE),
        1 if column < SIZE - 1 => Some(cell + 1),
        2 if row < SIZE - 1 => Some(cell + SIZE),
        3 if column > 0 => Some(cell - 1),
        _ => None,
    }
}
