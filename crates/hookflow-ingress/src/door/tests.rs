//! The contract with the caller, row by row, over real sockets.

mod answers;
mod bench;
mod bodies;
mod broken_store;
mod callers;
mod certified;
mod delays;
mod handshakes;
mod order;
mod repeats;
mod secured;
mod wire;
