//! Reading `MiniJinja`'s syntax tree: where a part of it stands, and what a path is made of.

use crate::path::Segment;
use crate::scan::range;
use minijinja::machinery::ast::{self, BinOpKind, CompareOpKind, Expr};
use std::ops::Range;

/// Where an expression stands. The tree's own spans begin at the last sign of what they span, so the beginning is
/// that of the leftmost part.
pub(super) fn place(expr: &Expr<'_>) -> Range<usize> {
    let own = range(expr.span());
    let mut leftmost = expr;
    loop {
        leftmost = match leftmost {
            Expr::GetAttr(attr) => &attr.expr,
            Expr::GetItem(item) => &item.expr,
            Expr::Slice(slice) => &slice.expr,
            Expr::Test(test) => &test.expr,
            Expr::BinOp(binary) => &binary.left,
            Expr::Compare(compare) => &compare.expr,
            Expr::IfExpr(choice) => &choice.true_expr,
            Expr::Call(call) => &call.expr,
            Expr::Filter(filter) => match &filter.expr {
                Some(subject) => subject,
                None => break,
            },
            _ => break,
        };
    }
    range(leftmost.span()).start.min(own.end)..own.end
}

/// One part of a path: written out, or computed when it is followed.
pub(super) enum Part<'e, 's> {
    Fixed(Segment),
    Computed(&'e Expr<'s>),
}

impl Part<'_, '_> {
    pub(super) fn fixed(&self) -> Option<&Segment> {
        match self {
            Self::Fixed(segment) => Some(segment),
            Self::Computed(_) => None,
        }
    }
}

/// What a path begins with, and its parts.
pub(super) fn parts<'e, 's>(expr: &'e Expr<'s>) -> (&'e Expr<'s>, Vec<Part<'e, 's>>) {
    let mut parts = Vec::new();
    let mut base = expr;
    loop {
        base = match base {
            Expr::GetAttr(attr) => {
                parts.push(Part::Fixed(Segment::Key(attr.name.to_owned())));
                &attr.expr
            }
            Expr::GetItem(item) => {
                parts.push(part(&item.subscript_expr));
                &item.expr
            }
            _ => break,
        };
    }
    parts.reverse();
    (base, parts)
}

/// What stands between the brackets of `a[…]`.
pub(super) fn part<'e, 's>(expr: &'e Expr<'s>) -> Part<'e, 's> {
    let (constant, sign) = match expr {
        Expr::Const(constant) => (constant, 1),
        Expr::UnaryOp(unary) => match (&unary.op, &unary.expr) {
            (ast::UnaryOpKind::Neg, Expr::Const(constant)) => (constant, -1),
            _ => return Part::Computed(expr),
        },
        _ => return Part::Computed(expr),
    };
    match (constant.value.as_str(), constant.value.as_i64()) {
        (Some(key), _) if sign > 0 => Part::Fixed(Segment::Key(key.to_owned())),
        (None, Some(index)) if constant.value.is_integer() => Part::Fixed(Segment::Index(sign * index)),
        _ => Part::Computed(expr),
    }
}

/// Whether two of these in a row mean something else than one after the other.
pub(super) fn compares(op: BinOpKind) -> bool {
    use BinOpKind::{Eq, Gt, Gte, In, Lt, Lte, Ne};
    matches!(op, Eq | Ne | Lt | Lte | Gt | Gte | In)
}

/// What is written before and between the operands.
pub(super) fn between(op: BinOpKind) -> (&'static str, &'static str) {
    match op {
        BinOpKind::Add => ("_add(", ", "),
        BinOpKind::Mul => ("_times(", ", "),
        BinOpKind::Concat => ("_concat(", ", "),
        BinOpKind::Eq => ("(", " == "),
        BinOpKind::Ne => ("(", " != "),
        BinOpKind::Lt => ("(", " < "),
        BinOpKind::Lte => ("(", " <= "),
        BinOpKind::Gt => ("(", " > "),
        BinOpKind::Gte => ("(", " >= "),
        BinOpKind::ScAnd => ("(", " and "),
        BinOpKind::ScOr => ("(", " or "),
        BinOpKind::Sub => ("(", " - "),
        BinOpKind::Div => ("(", " / "),
        BinOpKind::FloorDiv => ("(", " // "),
        BinOpKind::Rem => ("(", " % "),
        BinOpKind::Pow => ("(", " ** "),
        BinOpKind::In => ("(", " in "),
    }
}

pub(super) fn compare_sign(op: CompareOpKind) -> &'static str {
    match op {
        CompareOpKind::Eq => " == ",
        CompareOpKind::Ne => " != ",
        CompareOpKind::Lt => " < ",
        CompareOpKind::Lte => " <= ",
        CompareOpKind::Gt => " > ",
        CompareOpKind::Gte => " >= ",
        CompareOpKind::In => " in ",
        CompareOpKind::NotIn => " not in ",
    }
}
