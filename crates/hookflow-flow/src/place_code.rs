//! Codes of a place in a run that nobody can make who does not know the run's seed.

use crate::Place;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What the key of transactional IDs is derived for.
const TRANSACTION: &[u8] = b"hookflow transaction";

/// The code of a place for one purpose. Codes for one purpose say nothing about those for another.
pub(crate) fn place_code(purpose: &[u8], run: &str, seed: &[u8; 16], place: &Place) -> Hmac<Sha256> {
    // The seed also gives the run's chance, which a flow may show; it cannot be found from the derived key.
    let key = keyed(seed).chain_update(purpose).finalize().into_bytes();
    keyed(&key).chain_update(run).chain_update([0]).chain_update(place.to_string())
}

/// What the other side knows a call by: the same for every try of one step of one run, and for nothing else.
pub fn transactional_id(run: &str, seed: &[u8; 16], place: &Place) -> String {
    hookflow_expr::uuid(place_code(TRANSACTION, run, seed, place).finalize().into_bytes().into())
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // A key that is shorter than the block is filled up with zeros (RFC 2104).
    let mut block = [0_u8; 64];
    block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
    Hmac::<Sha256>::new(&block.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StepNumber;
    use std::collections::BTreeSet;

    const SEED: &[u8; 16] = b"0123456789abcdef";

    fn place(step: u32, turns: &[u32]) -> Place {
        Place { step: StepNumber(step), turns: turns.to_vec() }
    }

    #[test]
    fn an_id_is_of_one_step_of_one_run() {
        let id = transactional_id("run-1", SEED, &place(7, &[]));
        assert_eq!(id, transactional_id("run-1", SEED, &place(7, &[])));
        assert_eq!((id.len(), id.get(14..15)), (36, Some("4")), "{id}");
        let ids = BTreeSet::from([
            id,
            transactional_id("run-2", SEED, &place(7, &[])),
            transactional_id("run-1", b"0123456789abcdeF", &place(7, &[])),
            transactional_id("run-1", SEED, &place(8, &[])),
            transactional_id("run-1", SEED, &place(7, &[0])),
            transactional_id("run-1", SEED, &place(7, &[1])),
        ]);
        assert_eq!(ids.len(), 6, "{ids:?}");
    }
}
