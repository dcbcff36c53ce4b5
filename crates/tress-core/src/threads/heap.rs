//! A binary heap whose comparison may fail: the least item first, in the array layout that Python's `heapq` uses, too.

use std::collections::VecDeque;

/// Adds an item.
///
/// # Errors
/// What `less` says. The item is in the heap then, though perhaps not in its place.
pub fn push<T, E>(
    heap: &mut VecDeque<T>,
    item: T,
    mut less: impl FnMut(&T, &T) -> Result<bool, E>,
) -> Result<(), E> {
    let mut at = heap.len();
    heap.push_back(item);
    // Items come and go at the end alone, so they lie in one piece already.
    let heap = heap.make_contiguous();
    while at > 0 {
        let parent = (at - 1) / 2;
        if !less(&heap[at], &heap[parent])? {
            break;
        }
        heap.swap(at, parent);
        at = parent;
    }
    Ok(())
}

/// Takes the least item out; `None` when there is none.
///
/// # Errors
/// What `less` says. The heap is as it was before then, every item in its place.
pub fn pop<T, E>(
    queue: &mut VecDeque<T>,
    mut less: impl FnMut(&T, &T) -> Result<bool, E>,
) -> Result<Option<T>, E> {
    let Some(last) = queue.len().checked_sub(1) else { return Ok(None) };
    let heap = queue.make_contiguous();
    // The least item waits at the end, outside of the heap proper, until nothing can fail any more.
    heap.swap(0, last);
    // The last item sinks all the way along the lesser children, then rises: it came from the bottom and mostly belongs
    // there, so this takes fewer comparisons than looking at each level whether it may stay.
    let mut at = 0;
    let mut outcome = Ok(());
    loop {
        let left = 2 * at + 1;
        if left >= last {
            break;
        }
        let mut child = left;
        if left + 1 < last {
            match less(&heap[left], &heap[left + 1]) {
                Ok(true) => {}
                Ok(false) => child = left + 1,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        heap.swap(at, child);
        at = child;
    }
    let bottom = at;
    while outcome.is_ok() && at > 0 {
        let parent = (at - 1) / 2;
        match less(&heap[at], &heap[parent]) {
            Ok(true) => {
                heap.swap(at, parent);
                at = parent;
            }
            Ok(false) => break,
            Err(error) => outcome = Err(error),
        }
    }
    if let Err(error) = outcome {
        undo(heap, at, bottom);
        heap.swap(0, last);
        return Err(error);
    }
    Ok(queue.pop_back())
}

/// Brings the sunk item from `at` back to the top, and every item that rose on the path to `bottom` back down.
fn undo<T>(heap: &mut [T], mut at: usize, bottom: usize) {
    // First back down to where the sinking ended, along the path that leads there, ...
    let mut path = Vec::new();
    let mut step = bottom;
    while step > at {
        path.push(step);
        step = (step - 1) / 2;
    }
    while let Some(child) = path.pop() {
        heap.swap(at, child);
        at = child;
    }
    // ... then up to where it began.
    while at > 0 {
        let parent = (at - 1) / 2;
        heap.swap(at, parent);
        at = parent;
    }
}
