//! The examples of the C2SP `tlog-tiles` specification, and bundles that are none.

use super::*;

#[test]
fn paths_are_those_of_the_specification() {
    let full = |level, index| Tile { level, index, width: WIDTH }.path();
    assert_eq!(full(Some(0), 1_234_067), "tile/0/x001/x234/067");
    assert_eq!(full(None, 1_234_067), "tile/entries/x001/x234/067");
    assert_eq!(full(Some(2), 0), "tile/2/000");
    assert_eq!(full(Some(0), 1000), "tile/0/x001/000");
    assert_eq!(Tile { level: Some(1), index: 273, width: 17 }.path(), "tile/1/273.p/17");
}

#[test]
fn a_path_names_a_tile_in_one_way_only() {
    for (level, index, width) in
        [(Some(0), 0, WIDTH), (Some(0), 1_234_067, 17), (None, 1_234_067, WIDTH), (None, 999, 255), (Some(63), 1000, 1)]
    {
        let tile = Tile { level, index, width };
        assert_eq!(Tile::parse(&tile.path()), Some(tile), "{}", tile.path());
    }
    for path in [
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/+1/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/0/1000",
        "tile/0/001/000",
        "tile/0/x000/001",
        "tile/0/x001/x000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p",
        "tile/0/000.new",
        "tile/0/000/",
        "/tile/0/000",
        "tile/entries/000.p/17.new",
        "tile/0/../0/000",
        "checkpoint",
        "",
    ] {
        assert_eq!(Tile::parse(path), None, "{path}");
    }
}

#[test]
fn a_tree_has_the_tiles_the_specification_counts() {
    let tiles = |level, tree_size| {
        let widths: Vec<u64> =
            (0..).map_while(|index| Tile::hashes(level, index, tree_size)).map(|tile| tile.width).collect();
        let full = widths.iter().filter(|width| **width == WIDTH).count();
        (full, widths.last().copied().filter(|width| *width < WIDTH))
    };
    assert_eq!(tiles(0, 70_000), (273, Some(112)));
    assert_eq!(tiles(1, 70_000), (1, Some(17)));
    assert_eq!(tiles(2, 70_000), (0, Some(1)));
    assert_eq!(tiles(3, 70_000), (0, None));
    assert_eq!((tiles(0, 256), tiles(1, 256)), ((1, None), (0, Some(1))));
    assert_eq!(tiles(0, 0), (0, None));
    assert_eq!(tiles(7, u64::MAX), (0, Some(255)));
    assert_eq!(tiles(8, u64::MAX), (0, None));
}

#[test]
fn a_bundle_holds_what_its_name_says_and_no_more() {
    let tile = Tile { level: None, index: 3, width: 2 };
    let parse = |bytes: &[u8]| {
        let parsed = parse_bundle(bytes, &tile, &tile.path());
        parsed.map(|entries| entries.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>())
    };
    assert_eq!(parse(b"\0\x02ab\0\0"), Ok(vec![b"ab".to_vec(), vec![]]));
    let wrong: [(&[u8], u64); 6] =
        [(b"", 768), (b"\0", 768), (b"\0\x02a", 768), (b"\0\x01a", 769), (b"\0\x01a\0", 769), (b"\0\0\0\0\0\0", 770)];
    for (bytes, log_index) in wrong {
        let path = "tile/entries/003.p/2".to_owned();
        assert_eq!(parse(bytes), Err(Damage::BundleMalformed { path, log_index }), "{bytes:?}");
    }
}
