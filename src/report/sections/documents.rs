//! What is brought to the hosts and what is written: by digest, so that anybody can check it.

use super::short;
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::view::{View, some};
use crate::text::{bytes, count};

/// Assets and documents that get a line of their own.
const ROWS: usize = 40;
/// Images that get a line of their own: k0s and MKE 4k need fewer.
const IMAGES: usize = 200;
/// Names of empty documents that are written out.
const EMPTY: usize = 12;
/// The document whose text an example shows.
const EXAMPLE: &str = "mke4.yaml";

pub(super) fn section(view: &View) -> Option<Section> {
    let spec = view.spec;
    if spec.assets.is_empty() && spec.images.is_empty() && spec.documents.is_empty() {
        return None;
    }
    let mut blocks = Vec::new();
    if !spec.assets.is_empty() {
        blocks.push(Block::Heading(Line::new().info("brought to the hosts")));
        blocks.push(Block::Table(assets(view)));
        more(spec.assets.len(), ROWS, "asset", &mut blocks);
    }
    if !spec.images.is_empty() {
        blocks.push(Block::Heading(
            Line::new().info("images and charts, as the registries hold them"),
        ));
        blocks.push(Block::Table(images(view)));
        more(spec.images.len(), IMAGES, "image", &mut blocks);
    }
    if !spec.documents.is_empty() {
        blocks.push(Block::Heading(Line::new().info("written from this plan")));
        documents(view, &mut blocks);
        let example = spec.documents.iter().find(|document| document.name == EXAMPLE);
        if let Some(example) = example.or(spec.documents.first()) {
            let command = format!("mkectl show {} --document {}", view.file(), example.name);
            blocks.push(Block::Gap);
            blocks.push(Block::text(Line::new().dim("the text of one: ").info(command)));
        }
    }
    let unknown = spec.assets.iter().filter(|asset| asset.digest.is_empty()).count();
    let mut gist = format!(
        "{}, {}",
        count(spec.assets.len(), "asset"),
        count(spec.documents.len(), "document")
    );
    if !spec.images.is_empty() {
        gist.push_str(&format!(", {}", count(spec.images.len(), "image")));
    }
    Some(Section {
        id: "documents",
        title: "What is brought and written".to_owned(),
        gist: match unknown {
            0 => gist,
            n => format!("{gist}, {} without a digest", count(n, "asset")),
        },
        weight: Weight::Normal,
        blocks,
    })
}

fn more(all: usize, shown: usize, noun: &str, blocks: &mut Vec<Block>) {
    if all > shown {
        let rest = count(all - shown, noun).replacen(' ', " more ", 1);
        blocks.push(Block::text(Line::new().dim(format!("… and {rest}"))));
    }
}

fn assets(view: &View) -> Table {
    let mut table = Table {
        stack: Some(3),
        ..Table::new(&["name", "kind", "digest", "from"])
    };
    for asset in view.spec.assets.iter().take(ROWS) {
        let digest = match asset.digest.as_str() {
            "" => Line::new().tone(Tone::Warn, "not known"),
            digest => Line::new().dim(short(digest)),
        };
        let from = match asset.url.as_str() {
            "" => Line::new().tone(Tone::Warn, "no address"),
            url => Line::new().dim(url),
        };
        table.row([
            Line::new().strong(&asset.name),
            Line::from(asset.kind.as_str()),
            digest,
            from,
        ]);
    }
    table
}

fn images(view: &View) -> Table {
    let mut table = Table {
        stack: Some(3),
        ..Table::new(&["name", "kind", "digest", "at"])
    };
    for image in view.spec.images.iter().take(IMAGES) {
        let digest = match image.digest.as_str() {
            "" => Line::new().tone(Tone::Warn, "not known"),
            digest => Line::new().dim(short(digest)),
        };
        table.row([
            Line::new().strong(&image.name),
            Line::from(image.kind.as_str()),
            digest,
            Line::new().dim(&image.place),
        ]);
    }
    table
}

fn documents(view: &View, blocks: &mut Vec<Block>) {
    let spec = view.spec;
    let mut table = Table::new(&["name", "size", "digest", "secrets"]);
    let mut empty: Vec<&str> = Vec::new();
    let mut shown = 0;
    for document in &spec.documents {
        let size = spec.files.get(&document.digest).map(String::len);
        if size == Some(0) {
            empty.push(&document.name);
            continue;
        }
        shown += 1;
        if shown > ROWS {
            continue;
        }
        table.row([
            Line::new().strong(&document.name),
            match size {
                Some(size) => Line::from(bytes(size as u64)),
                None => Line::new().tone(Tone::Warn, "missing"),
            },
            Line::new().dim(short(&document.digest)),
            match document.secrets {
                true => Line::new().tone(Tone::Warn, "apply fills in secrets"),
                false => Line::new(),
            },
        ]);
    }
    blocks.push(Block::Table(table));
    more(shown, ROWS, "document", blocks);
    if !empty.is_empty() {
        let text = format!("empty here: {}", some(&empty, EMPTY, "document"));
        blocks.push(Block::text(Line::new().dim(text)));
    }
}
