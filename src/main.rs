//! curfew
fn main() { println!("{:?}", curfew::generate::write(std::path::Path::new("."))); }
