//! What the port rules promise.

use std::net::TcpListener;

use proptest::prelude::*;

use super::class::{read_range, reserves, warnings};
use super::*;

fn error(text: &str) -> InvalidPort {
    parse(text, Place::Flag("--port".to_owned())).unwrap_err()
}

#[test]
fn every_port_is_a_port() {
    for port in 0..=u16::MAX {
        assert_eq!(parse(&port.to_string(), Place::Argument), Ok(port));
    }
    assert_eq!(parse("0000061900", Place::Argument), Ok(61900));
}

#[test]
fn the_impossible_number_is_named_with_place_range_candidates_and_wrap() {
    let invalid = error("619009");
    assert_eq!(invalid.problem, Problem::OutOfRange);
    assert_eq!(invalid.candidates.get(..4), Some(&[61900, 61909, 61009, 19009][..]));
    assert_eq!(invalid.wrapped, Some(29185));
    assert_eq!(
        invalid.to_string(),
        "`619009` (flag --port) is no TCP port: ports are 0-65535; did you mean 61900, 61909, \
         61009 or 19009? software that keeps 16 bits would really use 29185"
    );
}

#[test]
fn related_mistakes_are_recognised_too() {
    let extra = error("6199009");
    assert!(extra.candidates.contains(&61900) && extra.candidates.contains(&61909));
    assert_eq!(extra.candidates.first(), Some(&61900));
    assert_eq!(extra.wrapped, Some(38625));
    let next = error("619010");
    assert_eq!(next.candidates.first(), Some(&61901));
    assert!(next.candidates.contains(&61910) && next.candidates.contains(&61900));
    assert_eq!(next.wrapped, Some(29186));
    assert!(error("80800").candidates.contains(&8080));
    assert!(error("65536").candidates.contains(&56536), "two digits swapped");
    assert_eq!(error("65536").wrapped, Some(0));
}

#[test]
fn numbers_of_any_length_are_read_and_wrap_right() {
    let long = format!("1{}", "0".repeat(100_000));
    let invalid = error(&long);
    assert_eq!(invalid.problem, Problem::OutOfRange);
    assert_eq!(invalid.wrapped, Some(0), "10^100000 is a multiple of 2^16");
    assert!(invalid.value.chars().count() < 50);
    assert_eq!(wrapped(&(65_536_u64 * 7_000_000 + 61_900).to_string()), Some(61900));
}

#[test]
fn text_that_is_no_number_says_what_is_wrong_and_what_was_meant() {
    let cases = [
        ("", Problem::Empty, None),
        (" ", Problem::Whitespace, None),
        (" 61900", Problem::Whitespace, Some(61900)),
        ("61900\n", Problem::Whitespace, Some(61900)),
        ("-61900", Problem::Negative, Some(61900)),
        ("+61900", Problem::PlusSign, Some(61900)),
        ("0xF1CC", Problem::Hex, Some(61900)),
        ("619O0", Problem::NotDigits, Some(61900)),
        ("61,900", Problem::NotDigits, Some(61900)),
        ("61900.0x", Problem::NotDigits, None),
        ("http", Problem::NotDigits, None),
        ("６１９００", Problem::NotDigits, Some(61900)),
    ];
    for (text, problem, meant) in cases {
        let invalid = error(text);
        assert_eq!(invalid.problem, problem, "{text:?}");
        assert_eq!(invalid.wrapped, None, "{text:?}");
        if meant.is_some() {
            assert_eq!(invalid.candidates.first().copied(), meant, "{text:?}");
        }
        assert!(invalid.to_string().contains("65535"), "{text:?}: {invalid}");
    }
}

#[test]
fn the_place_is_told_exactly() {
    let place = Place::File { path: "rapport.yaml".into(), line: Some(7) };
    let invalid = parse("99999", place).unwrap_err();
    assert!(invalid.to_string().contains("(rapport.yaml:7)"), "{invalid}");
    let invalid = parse("99999", Place::Variable("RAPPORT_PORT".to_owned())).unwrap_err();
    assert!(invalid.to_string().contains("environment variable RAPPORT_PORT"), "{invalid}");
}

#[test]
fn the_logical_name_is_used_with_one_warning_line() {
    let map = LogicalMap::default();
    let resolved = resolve("619009", Place::Argument, false, &map).unwrap();
    assert_eq!(resolved.port, 61900);
    let warning = resolved.warning.unwrap();
    for part in ["619009", "65535", "61900", "29185"] {
        assert!(warning.contains(part), "{warning}");
    }
    assert!(!warning.contains('\n'));
    assert_eq!(resolve("61900", Place::Argument, false, &map).unwrap().warning, None);
    assert!(resolve("619010", Place::Argument, false, &map).is_err());
}

#[test]
fn strict_ports_turn_the_map_off() {
    let mut map = LogicalMap::default();
    map.insert("700000", 8123).unwrap();
    let invalid = resolve("700000", Place::Argument, true, &map).unwrap_err();
    assert_eq!(invalid.candidates.first(), Some(&8123));
    assert!(resolve("619009", Place::Argument, true, &map).is_err());
    assert_eq!(resolve("700000", Place::Argument, false, &map).unwrap().port, 8123);
}

#[test]
fn the_map_takes_only_what_is_no_port() {
    let mut map = LogicalMap::default();
    assert_eq!(map.insert("8080", 1), Err(InvalidMapping::RealPort(8080)));
    assert!(matches!(map.insert("office", 1), Err(InvalidMapping::NotANumber(_))));
    assert!(matches!(map.insert("619009", 0), Err(InvalidMapping::PortZero(_))));
    map.insert("0619009", 7000).unwrap();
    assert_eq!(map.iter().collect::<Vec<_>>(), [("619009", 7000)]);
}

#[test]
fn clients_do_not_get_port_zero() {
    assert_eq!(for_client(1, Place::Argument), Ok(1));
    assert_eq!(for_client(0, Place::Argument).unwrap_err().verdict_id(), "address.port_zero");
}

#[test]
fn classes_have_their_borders() {
    let borders = [(1023, Class::WellKnown), (1024, Class::Registered), (49151, Class::Registered)];
    for (port, expected) in borders {
        assert_eq!(class(port), expected);
    }
    assert_eq!(class(49152), Class::Dynamic);
}

#[test]
fn bind_warnings_follow_the_range_of_the_machine() {
    assert_eq!(read_range("32768\t60999\n"), Some(32768..=60999));
    assert_eq!(read_range("9 3"), None);
    for port in [8080, 9000, 9005, 9010] {
        assert!(reserves("8080,9000-9010\n", port), "{port}");
    }
    assert!(!reserves("8080,9000-9010", 9011) && !reserves("\n", 0));
    assert!(warnings(61900, Some(&(32768..=60999))).is_empty());
    assert_eq!(warnings(61900, Some(&(49152..=65535))).len(), 1);
    assert_eq!(warnings(80, None).len(), 1);
    #[cfg(target_os = "linux")]
    assert!(ephemeral_range().is_some());
}

#[test]
fn explanations_are_one_sentence_with_every_reading() {
    let sentence = explain("619009");
    for part in ["619009", "65535", "61900", "61909", "29185", "name"] {
        assert!(sentence.contains(part), "{sentence}");
    }
    assert!(explain("61900").contains("dynamic"));
    assert!(explain("0").contains("any free"));
    assert!(explain("x").contains("not a number"));
}

#[test]
fn suggested_ports_are_free_and_a_taken_one_is_left_out() {
    let free = suggest(HOME, 4);
    assert_eq!(free.len(), 4);
    assert!(free.iter().any(|port| (3000..=9000).contains(port)), "{free:?}");
    assert!(free.iter().any(|port| (61800..=62000).contains(port)), "{free:?}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(!is_free(taken.local_addr().unwrap().port()));
}

proptest! {
    #[test]
    fn no_text_brings_the_parser_down(text in any::<String>()) {
        let map = LogicalMap::default();
        if let Err(invalid) = resolve(&text, Place::Argument, false, &map) {
            prop_assert!(invalid.to_string().contains("65535"));
            prop_assert!(!invalid.candidates.contains(&0));
        }
        prop_assert!(!explain(&text).is_empty());
    }

    #[test]
    fn digits_of_any_length_are_judged_by_their_value(text in "[0-9]{1,60}") {
        let value = text.trim_start_matches('0');
        let fits = value.len() < 5 || (value.len() == 5 && value <= "65535");
        prop_assert_eq!(parse(&text, Place::Argument).is_ok(), fits);
    }

    #[test]
    fn wrapping_is_the_remainder(number in any::<u128>()) {
        let expected = u16::try_from(number % 65_536).unwrap();
        prop_assert_eq!(wrapped(&number.to_string()), Some(expected));
    }
}
