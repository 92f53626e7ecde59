//! The vocabulary given meaning: conditions, values and host fields by name.

use super::conditions::{CONDITIONS, Condition};
use super::fields::{FIELDS, Field};
use super::values::{VALUES, Value};
use std::collections::BTreeMap;

/// Everything a catalogue may name and the builder must work out.
#[derive(Clone, Default)]
pub struct Registry {
    conditions: BTreeMap<&'static str, Condition>,
    values: BTreeMap<&'static str, Value>,
    fields: BTreeMap<&'static str, Field>,
}

impl Registry {
    /// What the shipped catalogue may name: the same names as `catalogue::vocabulary`.
    pub fn standard() -> Registry {
        Registry::new(CONDITIONS, VALUES, FIELDS)
    }

    /// A registry made by hand, for catalogues made by hand.
    pub fn new(conditions: &[Condition], values: &[Value], fields: &[Field]) -> Registry {
        Registry {
            conditions: conditions.iter().map(|it| (it.name, *it)).collect(),
            values: values.iter().map(|it| (it.name, *it)).collect(),
            fields: fields.iter().map(|it| (it.name, *it)).collect(),
        }
    }

    /// This registry with further conditions.
    #[must_use]
    pub fn with_conditions(mut self, conditions: &[Condition]) -> Registry {
        self.conditions.extend(conditions.iter().map(|it| (it.name, *it)));
        self
    }

    /// The condition with this name.
    pub fn condition(&self, name: &str) -> Option<Condition> {
        self.conditions.get(name).copied()
    }

    /// The value with this name.
    pub fn value(&self, name: &str) -> Option<Value> {
        self.values.get(name).copied()
    }

    /// The host field with this name.
    pub fn field(&self, name: &str) -> Option<Field> {
        self.fields.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::vocabulary::{self, Names};
    use crate::plan::facts;

    fn names(names: Names) -> Vec<&'static str> {
        names.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn registry_and_vocabulary_are_the_same_set() {
        let registry = Registry::standard();
        let keys = |found: Vec<&'static str>, known: Names| assert_eq!(found, names(known));
        keys(
            registry.conditions.keys().copied().collect(),
            vocabulary::CONDITIONS,
        );
        keys(registry.values.keys().copied().collect(), vocabulary::VALUES);
        keys(registry.fields.keys().copied().collect(), vocabulary::HOST_FIELDS);
        for name in names(vocabulary::FACTS) {
            assert!(facts::find(name).is_some(), "fact {name} cannot be looked up");
        }
    }

    #[test]
    fn no_value_has_the_name_of_a_field_because_both_stand_in_the_hosts_row() {
        let registry = Registry::standard();
        for name in registry.values.keys() {
            assert!(registry.field(name).is_none(), "{name}");
        }
    }
}
