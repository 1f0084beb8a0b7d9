//! The engine as a whole, over a store in memory.

mod admitting;
mod bench;
mod delivering;
mod ending;
mod handing_in;
mod limiting;
mod load;
mod parking;
mod pausing;
mod recovering;
mod relaxed;
mod replaying;
mod retention;
mod simulation;
mod swapping;
mod versions;
