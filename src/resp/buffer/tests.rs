use super::*;

const CHUNK: usize = OUTPUT_CHUNK_BYTES;

/// The strings of these lengths as one buffer's replies, and as one vector's.
fn both(lengths: &[usize]) -> (ReplyBuffer, Vec<u8>) {
    let (mut buffer, mut plain) = (ReplyBuffer::default(), Vec::new());
    for (number, &length) in lengths.iter().enumerate() {
        let value = vec![b'a' + (number % 26) as u8; length];
        buffer.reply(Protocol::Resp2).bulk(&value);
        Reply::new(&mut plain, Protocol::Resp2).bulk(&value);
    }
    (buffer, plain)
}

#[test]
fn chunks_hold_what_a_vector_would() {
    for lengths in [
        vec![],
        vec![1],
        vec![CHUNK],
        vec![CHUNK - 1, 1, CHUNK + 1, 0],
        vec![10 * CHUNK, 3, 3],
        vec![16; 20_000],
        vec![40_000; 20],
        vec![3, 5 * CHUNK, 100, 20_000, 60_000, 30_000],
    ] {
        let (buffer, plain) = both(&lengths);
        assert_eq!(buffer.to_vec(), plain, "{lengths:?}");
        assert_eq!(buffer.len(), plain.len());
    }
}

#[test]
fn memory_follows_the_bytes() {
    for lengths in [vec![16; 100_000], vec![1000; 3000], vec![13_000; 300], vec![40_000; 100], vec![1 << 20; 20]] {
        let (buffer, plain) = both(&lengths);
        let most = plain.len() + plain.len() / 4 + CHUNK;
        assert!(buffer.held() <= most, "{} bytes take {}", plain.len(), buffer.held());
        let largest = lengths.iter().max().copied().unwrap_or_default() + CHUNK;
        assert!(buffer.closed.chunks.iter().all(|chunk| chunk.capacity() <= largest));
    }
}

#[test]
fn replies_are_taken_back_across_chunks() {
    let (mut buffer, plain) = both(&[50_000; 10]);
    assert!(buffer.closed.chunks.len() > 3);
    for len in [plain.len() - 1, 260_000, 50_010, 50_009, 7, 0] {
        let mut reply = buffer.reply(Protocol::Resp2);
        assert!(reply.len() >= len);
        reply.truncate(len);
        assert_eq!(reply.len(), len);
        assert_eq!(buffer.to_vec(), plain[..len]);
    }
    assert_eq!(buffer.held(), 0);
}

#[test]
fn an_error_is_found_where_the_reply_began() {
    let (mut buffer, _) = both(&[CHUNK; 2]);
    let start = buffer.len();
    let mut reply = buffer.reply(Protocol::Resp2);
    reply.bulk(&[b'x'; 3 * CHUNK]);
    reply.bulk(b"rest");
    reply.truncate(start);
    reply.error("ERR no");
    assert_eq!(buffer.since(start), b"-ERR no\r\n");
}

#[test]
fn what_was_sent_is_given_up() {
    for step in [1000, CHUNK - 1, CHUNK, 100_000] {
        let (mut buffer, plain) = both(&[30_000, 70_000, 5, 200_000, 1]);
        let (mut sent, mut recycled) = (0, 0);
        while buffer.unsent() > 0 {
            assert_eq!(buffer.unsent(), plain.len() - sent);
            let mut slices = [IoSlice::new(&[]); 3];
            let count = buffer.slices(&mut slices);
            assert!(count > 0);
            assert_eq!(&*slices[0], buffer.first());
            let offered: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            assert_eq!(offered, plain[sent..sent + offered.len()]);
            let now = step.min(offered.len());
            buffer.advance(now, |_| recycled += 1);
            buffer.settle();
            sent += now;
        }
        assert!(recycled >= 2);
        buffer.take_open();
        assert!(buffer.is_empty());
        assert_eq!(buffer.held(), 0);
    }
}

#[test]
fn buffers_are_joined() {
    for (first, second) in [
        (vec![], vec![3]),
        (vec![3], vec![]),
        (vec![3], vec![4, 5]),
        (vec![60_000], vec![60_000]),
        (vec![3], vec![CHUNK * 4, 7]),
        (vec![CHUNK * 4, 7], vec![3, CHUNK * 4]),
    ] {
        let ((mut buffer, mut plain), (mut other, more)) = (both(&first), both(&second));
        buffer.append(&mut other);
        plain.extend_from_slice(&more);
        assert_eq!(buffer.to_vec(), plain);
        assert!(other.is_empty());
        buffer.push(b"+OK\r\n".to_vec());
        plain.extend_from_slice(b"+OK\r\n");
        assert_eq!(buffer.to_vec(), plain);

        let mut single = Vec::new();
        let (mut gathered, _) = both(&second);
        Reply::new(&mut single, Protocol::Resp2).append(&mut gathered);
        assert_eq!(single, more);
    }
}
