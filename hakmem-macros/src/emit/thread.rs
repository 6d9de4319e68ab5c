//! The thread cache, how a thread finds its own, and background threads.

use super::groups::{array_names, type_name};
use super::{Context, literal, sizes_of};
use hakmem_spec::{Background, Purge, Refill};
use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;

pub(super) fn emit(context: &Context, name: &Ident) -> TokenStream {
    let workers = workers(context, name);
    let crash_report = context.spec.crash_report.then(|| crash_report(name));
    let cache = cache(context);
    let hooks = hooks(context, name);
    let tls = if context.beside_heap() {
        let (word, classes) = (word(name), literal(context.plan.classes.len()));
        quote! {
            hakmem::initial_exec_tls!(ThreadCache, super::#name, ALLOCATOR, { #hooks }, #word, #classes);
        }
    } else {
        quote! { hakmem::native_tls!(ThreadCache, super::#name, ALLOCATOR, { #hooks }); }
    };
    quote! { #workers #crash_report #cache #tls }
}

/// The states of all groups: the first layers together, since hits touch only these; then the others.
fn cache(context: &Context) -> TokenStream {
    let (mut first, mut rest) = ([TokenStream::new(), TokenStream::new()], [TokenStream::new(), TokenStream::new()]);
    for (number, group) in context.plan.groups.iter().enumerate() {
        let (name, [states, rest_states], count) =
            (type_name(number), array_names(number), literal(group.classes.len()));
        let about = format!(" First layers of {}.", sizes_of(context, group));
        first[0].extend(quote! { #[doc = #about] #states: [<#name as hakmem::Group>::First; #count], });
        first[1].extend(quote! { #states: hakmem::empty_first::<#name, #count>(), });
        rest[0].extend(quote! { #rest_states: [<#name as hakmem::Group>::Rest; #count], });
        rest[1].extend(quote! { #rest_states: hakmem::empty_rest::<#name, #count>(), });
    }
    let ([fields, values], [rest_fields, rest_values]) = (first, rest);
    let (mut regions, mut no_regions, mut regions_type) = Default::default();
    if context.beside_heap() {
        let [_, region] = context.shifts();
        regions_type = quote! { type KnownRegions = hakmem::KnownRegions<#region, { 1 << (32 - #region) }>; };
        regions = quote! { regions: KnownRegions, };
        no_regions = quote! { regions: KnownRegions::NONE, };
    }
    quote! {
        #regions_type

        /// A thread's cache: for each group the states of its layers, and the thread's heap. It starts empty and has no
        /// destructor, so an access needs no check for initialisation.
        #[repr(C, align(64))]
        pub struct ThreadCache {
            #fields
            #rest_fields
            heap: hakmem::HeapSlot,
            #regions
        }

        impl ThreadCache {
            const EMPTY: ThreadCache = ThreadCache { #values #rest_values heap: hakmem::HeapSlot::EMPTY, #no_regions };
        }
    }
}

/// What tells of this allocator's memory when the program crashes.
fn crash_report(name: &Ident) -> TokenStream {
    let name = name.unraw().to_string();
    quote! {
        /// Writes a line before the program crashes.
        static CRASH_REPORT: hakmem::CrashReport = hakmem::CrashReport::new(&ALLOCATOR, #name);
    }
}

/// What a thread does at the end of a slow path if the spec asks for background threads, or for a line before a crash.
fn hooks(context: &Context, name: &Ident) -> TokenStream {
    let mut hooks = TokenStream::new();
    let purger = (context.spec.purge.background != Background::No).then(|| {
        quote! { hakmem::Purger::wake_if_pending(&PURGER_WORKER, self.heap.get()); }
    });
    let crash_report = context.spec.crash_report.then(|| {
        quote! { CRASH_REPORT.install_when_due(|| hakmem::empty::<super::#name>(self)); }
    });
    if purger.is_some() || crash_report.is_some() {
        hooks.extend(quote! {
            fn after_slow_path(&self) {
                #purger
                #crash_report
            }
        });
    }
    if fills(context) {
        hooks.extend(quote! {
            fn wake_filler(&self) {
                FILLER_WORKER.wake();
            }
        });
    }
    hooks
}

fn fills(context: &Context) -> bool {
    context.plan.groups.iter().any(|group| group.refill == Refill::Background)
}

/// Whether a slow path may start a thread, to refill or to purge.
pub(super) fn starts_workers(context: &Context) -> bool {
    context.spec.purge.background == Background::OnSlowPath || fills(context)
}

fn workers(context: &Context, name: &Ident) -> TokenStream {
    let filler = fills(context).then(|| {
        quote! {
            /// Fills the queues of `refill = "background"`, in a thread of its own.
            static FILLER: hakmem::Filler = hakmem::filler::<super::#name>(&ALLOCATOR);
            static FILLER_WORKER: hakmem::Worker = hakmem::Worker::new(&FILLER);
        }
    });
    let Purge { delay_ms, background } = context.spec.purge;
    let purger = delay_ms.filter(|_| background != Background::No).map(|delay| {
        let delay = literal(delay);
        let (new, create) = match background {
            Background::WithThreads => (quote!(waiting), pthread_create()),
            _ => (quote!(new), TokenStream::new()),
        };
        quote! {
            /// Returns free memory to the system, in a thread of its own.
            static PURGER: hakmem::Purger =
                hakmem::Purger::new(&ALLOCATOR, #delay, hakmem::keeper_steps::<super::#name>());
            static PURGER_WORKER: hakmem::Worker = hakmem::Worker::#new(&PURGER);
            #create
        }
    });
    quote! { #filler #purger }
}

/// The function of C's library, through which the program's first thread brings the purger's.
fn pthread_create() -> TokenStream {
    let pointer = quote!(*mut ::core::ffi::c_void);
    quote! {
        /// Stands before the C library's function, and starts the purger's thread before the program's first.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn pthread_create(
            thread: #pointer,
            attributes: #pointer,
            run: #pointer,
            argument: #pointer,
        ) -> i32 {
            PURGER_WORKER.start_waiting();
            // SAFETY: what the C library asks of its callers.
            unsafe { hakmem::create_thread([thread, attributes, run, argument]) }
        }
    }
}

/// The symbol of the thread-local word under `tls = "initial-exec"`, as far as it is for people to read. The wrapper
/// macro of the `hakmem` crate appends a number, which sets allocators of one name apart.
fn word(name: &Ident) -> String {
    let crate_name = std::env::var("CARGO_CRATE_NAME").unwrap_or_default();
    // The assembler takes no other letters.
    let name: String = name.unraw().to_string().chars().filter(char::is_ascii).collect();
    format!("__hakmem_{crate_name}_{name}_")
}
