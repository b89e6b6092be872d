"""Fetches pinned GGUF files into a Hugging Face cache on a box, checks every byte, and goes on after any interruption.

`python -m gguf_fetch VERB MANIFEST` needs Python 3.11, the standard library and huggingface_hub. The hub's own client
tells what a revision holds and where the bytes lie; the bytes come through byte ranges of ours, because the client (2.4.0,
`file_download._download_to_tmp_and_move`) throws a partial file away, and a partial file of 150 GB is worth keeping.

    manifest ─▶ cache: what is there ─▶ hub: sizes and hashes ─▶ transfer: parts, hash, fsync ─▶ cache: the snapshot link
"""
