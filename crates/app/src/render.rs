//! Creatives: templates with subscriber fields, checked before anyone is contacted, rendered at the last step.

use crate::error::{AppError, Result};
use kairos_model::sms;
use minijinja::{Environment, UndefinedBehavior};
use std::collections::{BTreeMap, BTreeSet};

/// Steps a user's template may take: a text of a few segments needs a few hundred.
const FUEL: u64 = 20_000;
/// Longest template source; an SMS of 8 segments has at most 1,224 characters.
pub const TEMPLATE_MAX: usize = 4_096;
/// Most segments of one message: operators refuse longer ones, and the UDH allows 255.
pub const SEGMENTS_MAX: usize = 8;

/// A checked template.
pub struct Template {
    environment: Environment<'static>,
    fields: Vec<String>,
}

const NAME: &str = "creative";

impl Template {
    /// Parses; `known` are the fields a template may use.
    pub fn parse(source: &str, known: &BTreeSet<String>) -> Result<Self> {
        if source.len() > TEMPLATE_MAX {
            return Err(AppError::invalid(
                "creative_too_long",
                format!("the template has {} bytes, more than {TEMPLATE_MAX}", source.len()),
            ));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.add_template_owned(NAME, source.to_owned()).map_err(|e| {
            AppError::invalid(
                "creative_syntax",
                format!("the template does not parse at line {}: {e}", e.line().unwrap_or(1)),
            )
        })?;
        let mut fields: Vec<String> = environment
            .get_template(NAME)
            .map(|t| t.undeclared_variables(false).into_iter().collect())
            .unwrap_or_default();
        fields.sort();
        let unknown: Vec<_> = fields.iter().filter(|f| !known.contains(*f)).collect();
        if let Some(first) = unknown.first() {
            let near = crate::suggest::nearest(first, known.iter().map(String::as_str));
            let hint = near
                .map_or_else(|| "use `name` or a tag of the catalogue".to_owned(), |n| format!("did you mean `{n}`?"));
            return Err(AppError::invalid(
                "creative_unknown_field",
                format!("the template uses the unknown field `{first}`; {hint}"),
            ));
        }
        Ok(Self { environment, fields })
    }

    /// Fields that the template reads, sorted.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// The text for one subscriber; a missing field is an error, never an empty gap.
    pub fn render(&self, values: &BTreeMap<&str, String>) -> Result<String> {
        let text = self
            .environment
            .get_template(NAME)
            .and_then(|t| t.render(values))
            .map_err(|e| AppError::failure("creative_render", format!("the template cannot be filled: {e}")))?;
        Ok(text)
    }

    /// Alphabet and number of segments with the longest value of each field, or by how much it is too long.
    pub fn worst_case(&self, longest: &BTreeMap<&str, String>) -> Result<WorstCase> {
        let text = self.render(longest)?;
        let encoded = sms::encode_within(&text, SEGMENTS_MAX)
            .map_err(|e| AppError::invalid("creative_too_long", format!("in the worst case {e}")))?;
        Ok(WorstCase { alphabet: encoded.alphabet, segments: encoded.segments.len(), text })
    }
}

/// What a creative costs at most.
pub struct WorstCase {
    pub alphabet: sms::Alphabet,
    pub segments: usize,
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> BTreeSet<String> {
        ["name", "arpu_3m", "plan"].map(str::to_owned).into()
    }

    #[test]
    fn a_template_is_filled_and_counted() {
        let t = Template::parse("{{ name }}您好，回复RBT", &known()).unwrap();
        assert_eq!(t.fields(), ["name"]);
        assert_eq!(t.render(&BTreeMap::from([("name", "王小明".to_owned())])).unwrap(), "王小明您好，回复RBT");
        let worst = t.worst_case(&BTreeMap::from([("name", "王".repeat(70))])).unwrap();
        assert_eq!((worst.alphabet, worst.segments), (sms::Alphabet::Ucs2, 2));
    }

    #[test]
    fn faults_are_named() {
        let e = Template::parse("{{ arpu3m }}", &known()).err().unwrap();
        assert_eq!(e.message, "the template uses the unknown field `arpu3m`; did you mean `arpu_3m`?");
        assert_eq!(Template::parse("{{ name", &known()).err().unwrap().code, "creative_syntax");
        assert_eq!(Template::parse(&"x".repeat(5_000), &known()).err().unwrap().code, "creative_too_long");
        let t = Template::parse("{{ name }}", &known()).unwrap();
        assert_eq!(t.render(&BTreeMap::new()).err().unwrap().code, "creative_render");
        let ten = "{% for i in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] %}";
        let endless = format!("{}x{}", ten.repeat(6), "{% endfor %}".repeat(6));
        let t = Template::parse(&endless, &known()).unwrap();
        assert_eq!(t.render(&BTreeMap::new()).err().unwrap().code, "creative_render");
    }
}
