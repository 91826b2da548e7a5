//! CAMARA's circles by name: a notification repeats the circle of its subscription unchanged, and the configuration says
//! which area that is.

use kairos_model::{CellId, hash::FixedMap};

/// A circle that somebody subscribed to.
#[derive(Clone, Debug, PartialEq)]
pub struct Circle {
    pub name: String,
    /// Degrees, WGS 84.
    pub latitude: f64,
    pub longitude: f64,
    pub radius_m: f64,
    /// The cell that stands for the circle in our areas: after entering the subscriber is there, after leaving
    /// [`CellId::ELSEWHERE`]. `None`: the event says nothing of the location.
    pub cell: Option<CellId>,
}

/// Why circles cannot be told apart or compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CirclesError {
    #[error("circle `{name}`: latitude must be −90 … 90, longitude −180 … 180, radius_m 1 … 200,000")]
    Range { name: String },
    #[error("circles `{first}` and `{second}` are the same: no notification could tell them apart")]
    Same { first: String, second: String },
    #[error("a circle's name must be 1–255 bytes")]
    Name,
    #[error("more than {CIRCLES_MAX} circles")]
    TooMany,
}

/// Each is a subscription at an operator's API; no more can be kept in order by hand.
pub const CIRCLES_MAX: usize = 10_000;

/// Circles by centre (to 10⁻⁵ degrees, about a metre) and radius (to a metre).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Circles {
    list: Vec<Circle>,
    by_place: FixedMap<(i64, i64, i64), usize>,
}

impl Circles {
    pub fn new(list: Vec<Circle>) -> Result<Self, CirclesError> {
        if list.len() > CIRCLES_MAX {
            return Err(CirclesError::TooMany);
        }
        let mut by_place = FixedMap::default();
        for (i, circle) in list.iter().enumerate() {
            if !(1..=255).contains(&circle.name.len()) {
                return Err(CirclesError::Name);
            }
            let Some(key) = key(circle.latitude, circle.longitude, circle.radius_m) else {
                return Err(CirclesError::Range { name: circle.name.clone() });
            };
            if let Some(first) = by_place.insert(key, i) {
                let first: &Circle = &list[first];
                return Err(CirclesError::Same { first: first.name.clone(), second: circle.name.clone() });
            }
        }
        Ok(Self { list, by_place })
    }

    pub fn find(&self, latitude: f64, longitude: f64, radius_m: f64) -> Option<&Circle> {
        self.by_place.get(&key(latitude, longitude, radius_m)?).map(|i| &self.list[*i])
    }

    pub fn list(&self) -> &[Circle] {
        &self.list
    }
}

/// `None` outside the earth.
fn key(latitude: f64, longitude: f64, radius_m: f64) -> Option<(i64, i64, i64)> {
    let good = latitude.abs() <= 90.0 && longitude.abs() <= 180.0 && (1.0..=200_000.0).contains(&radius_m);
    good.then(|| ((latitude * 1e5).round() as i64, (longitude * 1e5).round() as i64, radius_m.round() as i64))
}
