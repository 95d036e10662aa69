"""Runs in an environment with some version of transformers: what it makes of folders of ours.

usage: python compat_probe.py OUT.json FOLDER...

Writes, for each folder, logits in float32, token ids and what `generate` gives; or the error.
Knows nothing of wmtp_assets.
"""

import json
import sys
import traceback
from pathlib import Path

import torch
import transformers

TOKENS = torch.arange(1, 65)[None] * 7 % 500 + 3
TEXTS = [
    "def f(x):\n    return x + 1\n",
    "  two spaces, and a run of them:          end",
    "na\u00efve caf\u00e9 <s> literal </s>",
    "\t\ttabs\r\n",
]


def probe(folder: Path) -> dict[str, object]:
    """Logits, ids and generation of one folder."""
    found: dict[str, object] = {}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, attn_implementation="eager"
    )
    found["class"] = type(model).__name__
    found["dtype"] = str(next(model.parameters()).dtype)
    model = model.float().eval()
    with torch.no_grad():
        logits = model(TOKENS).logits.numpy()
    found["logits"] = logits.tolist()
    inputs = {"input_ids": TOKENS[:, :9]}
    if (folder / "tokenizer.json").exists():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        found["ids"] = [tokenizer(text)["input_ids"] for text in TEXTS]
        inputs = dict(tokenizer(TEXTS[0], return_tensors="pt"))
        found["inputs"] = sorted(inputs)
    with torch.no_grad():
        made = model.generate(**inputs, max_new_tokens=8, do_sample=False, pad_token_id=0)
    found["generated"] = made[0].tolist()
    return found


def main() -> None:
    """Probe each folder and write what was found."""
    transformers.logging.set_verbosity_error()
    found: dict[str, object] = {"transformers": transformers.__version__}
    for name in sys.argv[2:]:
        try:
            found[name] = probe(Path(name))
        except Exception as error:
            found[name] = {
                "error": f"{type(error).__name__}: {str(error)[:300]}",
                "trace": traceback.format_exc()[-1500:],
            }
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
