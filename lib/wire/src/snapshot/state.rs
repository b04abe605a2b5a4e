//! What can be saved and loaded: numbers, texts, collections, descriptors, and whatever is put together from them.

use super::{Damage, Reader, What, Writer};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Something that another process can go on with.
pub trait State: Sized {
    /// Appends it.
    fn save(&self, out: &mut Writer);

    /// Reads it back.
    ///
    /// # Errors
    /// Whatever is not what [`State::save`] writes.
    fn load(from: &mut Reader<'_>) -> Result<Self, Damage>;

    /// Says how it is laid out: two builds with one shape understand each other.
    fn shape(out: &mut String);

    /// Appends all of these.
    fn save_all(all: &[Self], out: &mut Writer) {
        all.iter().for_each(|each| each.save(out));
    }

    /// Reads so many of them back.
    ///
    /// # Errors
    /// As [`State::load`].
    fn load_all(count: usize, from: &mut Reader<'_>) -> Result<Vec<Self>, Damage> {
        // What is announced may be far more than what comes.
        let mut all = Vec::with_capacity(count.min(MOST_AT_ONCE));
        for _ in 0..count {
            all.push(Self::load(from)?);
        }
        Ok(all)
    }
}

/// The shape of what a field's accessor leads to.
pub fn shape_of<S, T: State>(_: fn(&S) -> &T, out: &mut String) {
    T::shape(out);
}

/// Makes a type a [`State`](crate::snapshot::State), from all its fields, or all its variants with a number for each.
/// Fields behind the semicolon are not saved and get a value instead, which may be made from the others.
#[macro_export]
macro_rules! state {
    (struct $name:ident { $($field:ident),* $(,)? $(; $($reset:ident: $value:expr),* $(,)?)? }) => {
        impl $crate::snapshot::State for $name {
            fn save(&self, out: &mut $crate::snapshot::Writer) {
                let $name { $($field,)* $($($reset: _,)*)? } = self;
                $($crate::snapshot::State::save($field, out);)*
            }

            fn load(from: &mut $crate::snapshot::Reader<'_>) -> Result<Self, $crate::snapshot::Damage> {
                $(let $field = $crate::snapshot::State::load(from)?;)*
                $($(let $reset = $value;)*)?
                Ok($name { $($field,)* $($($reset,)*)? })
            }

            fn shape(out: &mut String) {
                out.push_str(concat!(stringify!($name), "{"));
                $(
                    out.push_str(concat!(" ", stringify!($field), ":"));
                    $crate::snapshot::shape_of(|it: &$name| &it.$field, out);
                )*
                out.push_str(" }");
            }
        }
    };
    (struct $name:ident($inner:ty)) => {
        impl $crate::snapshot::State for $name {
            fn save(&self, out: &mut $crate::snapshot::Writer) {
                <$inner as $crate::snapshot::State>::save(&self.0, out);
            }

            fn load(from: &mut $crate::snapshot::Reader<'_>) -> Result<Self, $crate::snapshot::Damage> {
                <$inner as $crate::snapshot::State>::load(from).map($name)
            }

            fn shape(out: &mut String) {
                out.push_str(concat!(stringify!($name), "="));
                <$inner as $crate::snapshot::State>::shape(out);
            }
        }
    };
    (enum $name:ident { $($tag:literal $variant:ident
        $(($($place:ident: $kind:ty),*))? $({ $($field:ident: $type:ty),* })?),* $(,)? }) => {
        impl $crate::snapshot::State for $name {
            fn save(&self, out: &mut $crate::snapshot::Writer) {
                match self {
                    $($name::$variant $(($($place),*))? $({ $($field),* })? => {
                        out.append(&[$tag]);
                        $($(<$kind as $crate::snapshot::State>::save($place, out);)*)?
                        $($(<$type as $crate::snapshot::State>::save($field, out);)*)?
                    })*
                }
            }

            fn load(from: &mut $crate::snapshot::Reader<'_>) -> Result<Self, $crate::snapshot::Damage> {
                let [tag] = from.array()?;
                match tag {
                    $($tag => {
                        $($(let $place = <$kind as $crate::snapshot::State>::load(from)?;)*)?
                        $($(let $field = <$type as $crate::snapshot::State>::load(from)?;)*)?
                        Ok($name::$variant $(($($place),*))? $({ $($field),* })?)
                    })*
                    other => Err(from.damage($crate::snapshot::What::Variant(stringify!($name), other))),
                }
            }

            fn shape(out: &mut String) {
                out.push_str(concat!(stringify!($name), "("));
                $(
                    out.push_str(concat!(" ", stringify!($tag), "=", stringify!($variant)));
                    $($(out.push(','); <$kind as $crate::snapshot::State>::shape(out);)*)?
                    $($(
                        out.push_str(concat!(",", stringify!($field), ":"));
                        <$type as $crate::snapshot::State>::shape(out);
                    )*)?
                )*
                out.push_str(" )");
            }
        }
    };
}

macro_rules! numbers {
    ($($number:ident)*) => {$(
        impl State for $number {
            fn save(&self, out: &mut Writer) {
                out.append(&self.to_le_bytes());
            }

            fn load(from: &mut Reader<'_>) -> Result<$number, Damage> {
                Ok($number::from_le_bytes(from.array()?))
            }

            fn shape(out: &mut String) {
                out.push_str(stringify!($number));
            }
        }
    )*};
}

numbers! { u16 u32 u64 i32 i64 }

impl State for u8 {
    fn save(&self, out: &mut Writer) {
        out.append(&[*self]);
    }

    fn load(from: &mut Reader<'_>) -> Result<u8, Damage> {
        from.array().map(|[byte]| byte)
    }

    fn shape(out: &mut String) {
        out.push_str("u8");
    }

    fn save_all(all: &[u8], out: &mut Writer) {
        out.append(all);
    }

    fn load_all(count: usize, from: &mut Reader<'_>) -> Result<Vec<u8>, Damage> {
        from.take(count).map(<[u8]>::to_vec)
    }
}

impl State for usize {
    fn save(&self, out: &mut Writer) {
        (*self as u64).save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<usize, Damage> {
        let number = u64::load(from)?;
        usize::try_from(number).map_err(|_| from.damage(What::Range(number)))
    }

    fn shape(out: &mut String) {
        out.push_str("u64");
    }
}

impl State for bool {
    fn save(&self, out: &mut Writer) {
        out.append(&[u8::from(*self)]);
    }

    fn load(from: &mut Reader<'_>) -> Result<bool, Damage> {
        match from.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(from.damage(What::Variant("bool", other))),
        }
    }

    fn shape(out: &mut String) {
        out.push_str("bool");
    }
}

impl State for OwnedFd {
    fn save(&self, out: &mut Writer) {
        // One byte as well, so that nothing takes none.
        out.append(&[0]);
        out.descriptor(self);
    }

    fn load(from: &mut Reader<'_>) -> Result<OwnedFd, Damage> {
        from.take(1)?;
        from.descriptor()
    }

    fn shape(out: &mut String) {
        out.push_str("fd");
    }
}

impl<const N: usize> State for [u8; N] {
    fn save(&self, out: &mut Writer) {
        out.append(self);
    }

    fn load(from: &mut Reader<'_>) -> Result<[u8; N], Damage> {
        from.array()
    }

    fn shape(out: &mut String) {
        out.push_str(&format!("{N} bytes"));
    }
}

impl<T: State> State for Vec<T> {
    fn save(&self, out: &mut Writer) {
        out.count(self.len());
        T::save_all(self, out);
    }

    fn load(from: &mut Reader<'_>) -> Result<Vec<T>, Damage> {
        let count = from.count()?;
        T::load_all(count, from)
    }

    fn shape(out: &mut String) {
        out.push('[');
        T::shape(out);
        out.push(']');
    }
}

/// Types that are saved as another one is.
macro_rules! saved_as {
    ($($(@[$($generic:tt)*])? $name:ty as $other:ty: $to:expr, $back:expr;)*) => {$(
        impl$(<$($generic)*>)? State for $name {
            fn save(&self, out: &mut Writer) {
                let to: fn(&Self, &mut Writer) = $to;
                to(self, out);
            }

            fn load(from: &mut Reader<'_>) -> Result<Self, Damage> {
                let back: fn($other, &Reader<'_>) -> Result<Self, Damage> = $back;
                back(<$other as State>::load(from)?, from)
            }

            fn shape(out: &mut String) {
                <$other as State>::shape(out);
            }
        }
    )*};
}

fn save_slice<T: State>(all: &[T], out: &mut Writer) {
    out.count(all.len());
    T::save_all(all, out);
}

fn text(bytes: Vec<u8>, from: &Reader<'_>) -> Result<String, Damage> {
    String::from_utf8(bytes).map_err(|_| from.damage(What::NotUtf8))
}

saved_as! {
    String as Vec<u8>: |text, out| save_slice(text.as_bytes(), out), text;
    Box<str> as String: |text, out| save_slice(text.as_bytes(), out), |text, _| Ok(text.into());
    @[T: State] Box<[T]> as Vec<T>: |all, out| save_slice(all, out), |all, _| Ok(all.into());
    Arc<[u8]> as Vec<u8>: |all, out| save_slice(all, out), |all, _| Ok(all.into());
    @[T: State] Box<T> as T: |inner, out| (**inner).save(out), |inner, _| Ok(Box::new(inner));
    @[T: State] VecDeque<T> as Vec<T>: |all, out| {
        out.count(all.len());
        let (front, back) = all.as_slices();
        T::save_all(front, out);
        T::save_all(back, out);
    }, |all, _| Ok(all.into());
    Ipv4Addr as [u8; 4]: |ip, out| out.append(&ip.octets()), |octets, _| Ok(octets.into());
    Ipv6Addr as [u8; 16]: |ip, out| out.append(&ip.octets()), |octets, _| Ok(octets.into());
    SocketAddrV4 as (Ipv4Addr, u16): |at, out| (*at.ip(), at.port()).save(out), |(ip, port), _| Ok(SocketAddrV4::new(ip, port));
    SocketAddrV6 as (Ipv6Addr, u16, (u32, u32)): |at, out| (*at.ip(), at.port(), (at.flowinfo(), at.scope_id())).save(out),
        |(ip, port, (flow, scope)), _| Ok(SocketAddrV6::new(ip, port, flow, scope));
    @[K: State + Eq + Hash, V: State, S: BuildHasher + Default] HashMap<K, V, S> as Vec<(K, V)>: |map, out| {
        out.count(map.len());
        map.iter().for_each(|(key, value)| {
            key.save(out);
            value.save(out);
        });
    }, |all, _| Ok(all.into_iter().collect());
    @[K: State + Ord, V: State] BTreeMap<K, V> as Vec<(K, V)>: |map, out| {
        out.count(map.len());
        map.iter().for_each(|(key, value)| {
            key.save(out);
            value.save(out);
        });
    }, |all, _| Ok(all.into_iter().collect());
}

state! { enum IpAddr { 4 V4(ip: Ipv4Addr), 6 V6(ip: Ipv6Addr) } }
state! { enum SocketAddr { 4 V4(at: SocketAddrV4), 6 V6(at: SocketAddrV6) } }

impl<T: State> State for Option<T> {
    fn save(&self, out: &mut Writer) {
        self.is_some().save(out);
        if let Some(inner) = self {
            inner.save(out);
        }
    }

    fn load(from: &mut Reader<'_>) -> Result<Option<T>, Damage> {
        if bool::load(from)? { T::load(from).map(Some) } else { Ok(None) }
    }

    fn shape(out: &mut String) {
        T::shape(out);
        out.push('?');
    }
}

impl<A: State, B: State> State for (A, B) {
    fn save(&self, out: &mut Writer) {
        self.0.save(out);
        self.1.save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<(A, B), Damage> {
        Ok((A::load(from)?, B::load(from)?))
    }

    fn shape(out: &mut String) {
        out.push('(');
        A::shape(out);
        out.push(' ');
        B::shape(out);
        out.push(')');
    }
}

impl<A: State, B: State, C: State> State for (A, B, C) {
    fn save(&self, out: &mut Writer) {
        self.0.save(out);
        self.1.save(out);
        self.2.save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<(A, B, C), Damage> {
        Ok((A::load(from)?, B::load(from)?, C::load(from)?))
    }

    fn shape(out: &mut String) {
        out.push('(');
        A::shape(out);
        out.push(' ');
        B::shape(out);
        out.push(' ');
        C::shape(out);
        out.push(')');
    }
}

/// What is claimed at once for a collection that says it is long.
const MOST_AT_ONCE: usize = 1024;
