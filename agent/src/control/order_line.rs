//! The way of orders to one reactor. A full mailbox delays them, in order; it never blocks the control thread.

use crate::core::order::Order;
use msf_core::event::mailbox::Sender;
use std::collections::VecDeque;

/// Orders to one reactor.
#[derive(Debug)]
pub struct OrderLine {
    mailbox: Sender<Order>,
    waiting: VecDeque<Order>,
}

impl OrderLine {
    /// The line into `mailbox`.
    pub fn new(mailbox: Sender<Order>) -> OrderLine {
        OrderLine { mailbox, waiting: VecDeque::new() }
    }

    /// Gives an order.
    pub fn give(&mut self, order: Order) {
        self.waiting.push_back(order);
    }

    /// Whether every order is in the mailbox.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Posts what the mailbox takes; when it was full, the control thread is woken once it has room.
    pub fn flush(&mut self) {
        while let Some(order) = self.waiting.pop_front() {
            if let Err(full) = self.mailbox.try_send(order) {
                self.waiting.push_front(full.0);
                return;
            }
        }
    }
}
