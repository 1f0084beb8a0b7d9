//! Every input that is kept in `fuzz/seeds`, thrown at its target as a fuzzer would: the seeds, and what fuzzers found.

#[cfg(test)]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

#[cfg(test)]
mod corpus {
    use super::fuzz;
    use std::fs;
    use std::panic;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A panic in a task of the service is caught there, and counts all the same.
    static PANICS: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn what_holds_for_every_input_holds_for_those_that_are_kept() {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            before(info);
        }));
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
        for (name, run) in fuzz::TARGETS {
            let mut paths: Vec<_> =
                fs::read_dir(seeds.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            assert!(paths.len() >= 10, "{name} has only {} inputs", paths.len());
            for path in paths {
                run(&fs::read(&path).unwrap());
                assert_eq!(PANICS.load(Ordering::Relaxed), 0, "{}", path.display());
            }
            // Nothing, and nothing that means anything.
            run(b"");
            run(&[0xff; 100]);
        }
        let folders = fs::read_dir(&seeds).unwrap().count();
        assert_eq!(folders, fuzz::TARGETS.len(), "a folder has no target");
    }
}
