#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hookflow_fuzz::door::run(data));
