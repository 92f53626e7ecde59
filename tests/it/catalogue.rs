use mkectl::catalogue::{Bundle, Catalogue};
#[test]
fn x() { let r = Catalogue::load(&Bundle::embedded()); match r { Ok((c,w)) => println!("{} {w:?} {}", c.actions.len(), c.missing_scripts().len()), Err(e) => panic!("{e}") } }
