//! The usage store: nothing lost and nothing counted twice, in any order, on replays, and wherever the process or its disk is cut off.
mod command;
mod cut;
mod damage;
mod engine;
mod kill;
mod limits;
mod model;
mod rollup;
mod scores;
