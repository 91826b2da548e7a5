//! Cells as networks write them → the 32 bits of a [`CellId`].

use super::{
    event_spec::{CellForm, CellSpec, Col},
    reject::RejectReason,
};
use kairos_model::CellId;

const LAC_MAX: u32 = 0xffff;
const TAC_MAX: u32 = 0xffff;
const ECI_MAX: u32 = 0x0fff_ffff;
const ENB_MAX: u32 = 0x000f_ffff;

/// The cell, `None` where its telling part is blank.
pub(crate) fn read<'a>(spec: &CellSpec, cell: impl Fn(Col) -> Option<&'a str>) -> Result<Option<CellId>, RejectReason> {
    let part = |text: &str, max: u32| number(text, spec.hex).filter(|n| *n <= max).ok_or(RejectReason::Cell);
    let two = |a: Col, b: Col, max: (u32, u32), shift: u32| match cell(a).zip(cell(b)) {
        Some((a, b)) => Ok(Some(part(a, max.0)? << shift | part(b, max.1)?)),
        None => Ok(None),
    };
    let id = match &spec.form {
        CellForm::Id(c) => cell(*c).map(|t| part(t, u32::MAX)).transpose()?,
        CellForm::LacCi(lac, ci) => two(*lac, *ci, (LAC_MAX, 0xffff), 16)?,
        CellForm::EnbCell(enb, c) => two(*enb, *c, (ENB_MAX, 0xff), 8)?,
        CellForm::TacEci(tac, eci) => {
            if let Some(tac) = tac.and_then(&cell) {
                part(tac, TAC_MAX)?;
            }
            cell(*eci).map(|t| part(t, ECI_MAX)).transpose()?
        }
        CellForm::Ecgi(c) => cell(*c).map(|t| ecgi(t, spec.hex).ok_or(RejectReason::Cell)).transpose()?,
    };
    match id.map(CellId) {
        // all ones, or nearly: a probe's filler, and no cell of ours
        Some(filler) if filler >= CellId::ELSEWHERE => Err(RejectReason::Cell),
        found => Ok(found),
    }
}

/// Decimal or hexadecimal digits; `0x` always means the latter.
pub(crate) fn number(text: &str, hex: bool) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, if hex { 16 } else { 10 }),
    };
    // `from_str_radix` takes a sign
    digits.as_bytes().first().filter(|b| b.is_ascii_hexdigit())?;
    u32::from_str_radix(digits, radix).ok()
}

/// `46000-27447297`, or the operator code and seven hexadecimal digits: `460001A2D001`.
fn ecgi(text: &str, hex: bool) -> Option<u32> {
    let (plmn, eci, hex) = match text.split_once('-') {
        Some((plmn, eci)) => (plmn, eci, hex),
        None if text.is_ascii() && matches!(text.len(), 12 | 13) => {
            let (plmn, eci) = text.split_at(text.len() - 7);
            (plmn, eci, true)
        }
        None => return None,
    };
    let good = matches!(plmn.len(), 5 | 6) && plmn.bytes().all(|b| b.is_ascii_digit());
    number(eci, hex).filter(|n| good && *n <= ECI_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(form: CellForm, hex: bool, cells: [&str; 2]) -> Result<Option<u32>, RejectReason> {
        let cell = |c: Col| Some(cells[usize::from(c.0)]).filter(|t| !t.is_empty());
        read(&CellSpec { form, hex }, cell).map(|c| c.map(|c| c.0))
    }

    #[test]
    fn every_form_gives_its_32_bits() {
        use CellForm::{Ecgi, EnbCell, Id, LacCi, TacEci};
        let (a, b) = (Col(0), Col(1));
        let bad = Err(RejectReason::Cell);
        let table = [
            (Id(a), false, ["70000", ""], Ok(Some(70_000))),
            (Id(a), true, ["11170", ""], Ok(Some(70_000))),
            (Id(a), false, ["0x11170", ""], Ok(Some(70_000))),
            (Id(a), false, ["", "1"], Ok(None)),
            (Id(a), false, ["-1", ""], bad),
            (Id(a), false, ["+1", ""], bad),
            (Id(a), false, ["4294967295", ""], bad),
            (Id(a), false, ["4294967296", ""], bad),
            (LacCi(a, b), false, ["24600", "10001"], Ok(Some(1_612_195_601))),
            (LacCi(a, b), true, ["6018", "2711"], Ok(Some(1_612_195_601))),
            (LacCi(a, b), true, ["6018", ""], Ok(None)),
            (LacCi(a, b), true, ["6018", "12711"], bad),
            (TacEci(Some(a), b), true, ["5A2C", "1A2D001"], Ok(Some(27_447_297))),
            (TacEci(Some(a), b), true, ["15A2C", "1A2D001"], bad),
            (TacEci(None, b), false, ["", "27447297"], Ok(Some(27_447_297))),
            (TacEci(None, b), false, ["", "268435456"], bad),
            (EnbCell(a, b), false, ["107216", "1"], Ok(Some(27_447_297))),
            (EnbCell(a, b), false, ["107216", "256"], bad),
            (Ecgi(a), false, ["46000-27447297", ""], Ok(Some(27_447_297))),
            (Ecgi(a), false, ["460001A2D001", ""], Ok(Some(27_447_297))),
            (Ecgi(a), false, ["310410-0x1A2D001", ""], Ok(Some(27_447_297))),
            (Ecgi(a), false, ["4600-27447297", ""], bad),
            (Ecgi(a), false, ["天天天天", ""], bad),
        ];
        for (form, hex, cells, want) in table {
            assert_eq!(said(form.clone(), hex, cells), want, "{form:?} {cells:?}");
        }
    }
}
