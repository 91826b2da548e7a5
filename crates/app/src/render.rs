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
            let near = kairos_model::near::nearest(first, known.iter().map(String::as_str));
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

    /// Alphabet and number of segments in the worst case over the values that fields may have, or that it is too long.
    ///
    /// One value outside GSM 7-bit makes the whole text UCS-2, where a character takes 16 bits instead of 7: so the
    /// longest text is not always that of the longest values. Tried are the longest GSM values all together, the longest
    /// of all, and these with each field once at its longest UCS-2 value.
    pub fn worst_case(&self, values: &BTreeMap<String, Extremes>) -> Result<WorstCase> {
        let longest = || values.iter().map(|(k, v)| (k.as_str(), v.longest.clone()));
        let mut cases: Vec<BTreeMap<&str, String>> = vec![longest().collect()];
        let gsm = values.iter().map(|(k, v)| Some((k.as_str(), v.gsm.clone()?)));
        cases.extend(gsm.collect::<Option<BTreeMap<_, _>>>());
        for (field, v) in values {
            if let Some(wide) = &v.ucs2 {
                cases.push(longest().chain([(field.as_str(), wide.clone())]).collect());
            }
        }
        let mut worst: Option<WorstCase> = None;
        for case in cases {
            let text = self.render(&case)?;
            let encoded = sms::encode_within(&text, SEGMENTS_MAX)
                .map_err(|e| AppError::invalid("creative_too_long", format!("in the worst case {e}")))?;
            let segments = encoded.segments.len();
            if worst.as_ref().is_none_or(|w| segments > w.segments) {
                worst = Some(WorstCase { alphabet: encoded.alphabet, segments, text });
            }
        }
        worst.ok_or_else(|| AppError::failure("internal", "no case was tried"))
    }
}

/// The values of one field that can make a message longest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extremes {
    /// Longest in UTF-16 units, whatever its alphabet.
    pub longest: String,
    /// Most septets among the values that GSM 7-bit writes.
    pub gsm: Option<String>,
    /// Longest in UTF-16 units among those that it does not.
    pub ucs2: Option<String>,
}

impl Extremes {
    /// The extremes of some values; `None` for no value.
    pub fn of<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let units = |v: &str| v.encode_utf16().count();
        let septets = |v: &str| sms::encode(v).segments.iter().map(Vec::len).sum::<usize>();
        let (mut gsm, mut ucs2) = (None::<&str>, None::<&str>);
        let (mut most, mut longest) = (0, 0);
        for v in values {
            if sms::Alphabet::of(v) == sms::Alphabet::Gsm7 {
                let n = septets(v);
                if gsm.is_none() || n > most {
                    (gsm, most) = (Some(v), n);
                }
            } else if ucs2.is_none() || units(v) > longest {
                (ucs2, longest) = (Some(v), units(v));
            }
        }
        let all = [gsm, ucs2].into_iter().flatten().max_by_key(|v| units(v))?;
        Some(Self { longest: all.to_owned(), gsm: gsm.map(str::to_owned), ucs2: ucs2.map(str::to_owned) })
    }
    /// Of a field that has one value only.
    pub fn one(value: &str) -> Self {
        let gsm = sms::Alphabet::of(value) == sms::Alphabet::Gsm7;
        let some = |is: bool| is.then(|| value.to_owned());
        Self { longest: value.to_owned(), gsm: some(gsm), ucs2: some(!gsm) }
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
        let worst = t.worst_case(&BTreeMap::from([("name".to_owned(), Extremes::one(&"王".repeat(70)))])).unwrap();
        assert_eq!((worst.alphabet, worst.segments), (sms::Alphabet::Ucs2, 2));
    }

    #[test]
    fn a_short_chinese_value_can_be_the_worst() {
        let plans = Extremes::of(["Unlimited weekend plan 59", "畅游", "Basic"].into_iter()).unwrap();
        assert_eq!(plans.longest, "Unlimited weekend plan 59");
        assert_eq!((plans.gsm.as_deref(), plans.ucs2.as_deref()), (Some("Unlimited weekend plan 59"), Some("畅游")));
        let t = Template::parse(&format!("{} {{{{ plan }}}}", "x".repeat(100)), &known()).unwrap();
        // 126 septets are one segment; 103 characters in UCS-2 are two
        let worst = t.worst_case(&BTreeMap::from([("plan".to_owned(), plans)])).unwrap();
        assert_eq!((worst.alphabet, worst.segments), (sms::Alphabet::Ucs2, 2));
        assert!(worst.text.ends_with("畅游"));
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
