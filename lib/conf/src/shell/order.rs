//! The order services go up in: that of the file, but none before those it goes up after.

use super::Service;
use crate::ConfError;
use crate::json::Object;
use crate::nearest::nearest;

/// The services' places in `services`, in the order they go up. `entries` are where complaints point.
pub(super) fn order(services: &[Service], entries: &[Object<'_>]) -> Result<Vec<usize>, ConfError> {
    let place = |name: &str| services.iter().position(|service| service.name == name);
    for (service, entry) in services.iter().zip(entries) {
        for key in ["requires", "after"] {
            let named = if key == "requires" { &service.requires } else { &service.after };
            if let Some(stranger) = named.iter().find(|name| place(name).is_none()) {
                return Err(entry.error(key, unknown(stranger, services)));
            }
        }
    }
    let mut order = Vec::with_capacity(services.len());
    let mut up = vec![false; services.len()];
    while order.len() < services.len() {
        let may = |service: &Service| service.predecessors().filter_map(place).all(|other| up[other]);
        let Some(next) = (0..services.len()).find(|at| !up[*at] && may(&services[*at])) else {
            let circle = circle(services, &up, place);
            let at = place(circle[0]).unwrap_or(0);
            let what = format!("waits for itself: {}", circle.join(" goes up after "));
            return Err(entries[at].error("svc_name", what));
        };
        up[next] = true;
        order.push(next);
    }
    Ok(order)
}

/// The members of a circle among those that cannot go up, the first of them at the end again.
fn circle<'a>(services: &'a [Service], up: &[bool], place: impl Fn(&str) -> Option<usize>) -> Vec<&'a str> {
    // Whoever cannot go up goes up after one that cannot, so this walk never ends but by meeting itself.
    let mut walked: Vec<usize> = up.iter().position(|up| !up).into_iter().collect();
    while let Some(next) =
        walked.last().and_then(|at| services[*at].predecessors().filter_map(&place).find(|other| !up[*other]))
    {
        if let Some(first) = walked.iter().position(|at| *at == next) {
            walked.drain(..first);
            walked.push(next);
            break;
        }
        walked.push(next);
    }
    walked.into_iter().map(|at| services[at].name.as_str()).collect()
}

fn unknown(name: &str, services: &[Service]) -> String {
    match nearest(name, services.iter().map(|service| service.name.as_str())) {
        Some(near) => format!("there is no service \"{name}\"; did you mean \"{near}\"?"),
        None => format!("there is no service \"{name}\""),
    }
}
