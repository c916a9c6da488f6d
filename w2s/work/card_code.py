"""How a trained model is loaded without w2s: the code its card shows, for transformers and for word vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_POOL = {
    "last": "pooled = hidden[torch.arange(len(texts)), mask.sum(dim=1) - 1]",
    "mean": "pooled = (hidden * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)",
    "cls": "pooled = hidden[:, 0]",
}

_TRANSFORMER = """\
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

folder = "."  # this folder
texts = ["A first text.", "Another, somewhat longer text."]

tokenizer = AutoTokenizer.from_pretrained(folder)
body = AutoModel.from_pretrained(folder).eval()
head = load_file(f"{folder}/head.safetensors")["weight"]

options = {"padding": True, "padding_side": "right", "truncation": True, "return_tensors": "pt"}
batch = tokenizer(texts, max_length=MAX_TOKENS, **options)
mask = batch["attention_mask"]
with torch.no_grad():
    hidden = body(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state
    POOL
    logits = pooled @ head.T"""

_STATIC = """\
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

folder = "."  # this folder
texts = ["A first text.", "Another, somewhat longer text."]

tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
[vectors] = load_file(f"{folder}/model.safetensors").values()
head = load_file(f"{folder}/head.safetensors")["weight"]

rows = [tokenizer.encode(text, add_special_tokens=False).ids[:MAX_TOKENS] for text in texts]
pooled = torch.stack([vectors[row].mean(dim=0) for row in rows])
logits = pooled @ head.T"""

_WRITER = """\
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this folder
prompt = "A text to be answered."

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder).eval()

batch = tokenizer(prompt, return_tensors="pt")
with torch.no_grad():
    written = model.generate(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], do_sample=False, num_beams=1,
        max_new_tokens=MOST, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
    )
answer = tokenizer.decode(written[0, batch["input_ids"].shape[1] :], skip_special_tokens=True)"""

WRITES = "language model"  # `form` in the w2s.json of a model that was finetuned to write


def loading(about: Mapping[str, Any], learner: Mapping[str, Any]) -> str:
    """Text and code for a folder whose w2s.json says `about`, of a model finetuned as `learner` (`Learner.dump()`)."""
    if about["form"] == WRITES:
        code = _WRITER.replace("MOST", str(int(about["meta"]["max_new_tokens"])))
        return f"With transformers alone; w2s is not needed.\n\n```python\n{code}\n```\n\n`answer` is what it writes, greedily."
    code = _STATIC if about["form"] == "static" else _TRANSFORMER.replace("POOL", _POOL[about["pooling"]])
    code = code.replace("MAX_TOKENS", str(int(learner["max_tokens"])))
    ending = (
        "`logits` holds one score a text: a softmax over the candidates of a question makes them probabilities."
        if about["n_outputs"] == 1
        else "`logits.softmax(dim=-1)` holds the probabilities of the classes, in the task's order."
    )
    if learner["precision"] != "fp32":
        ending += f" w2s itself runs the body under {learner['precision']} autocast, which moves them a little."
    if learner.get("lora"):
        ending += ' The adapters alone: `peft.PeftModel.from_pretrained(base_model, f"{folder}/adapter")`.'
    return f"With transformers alone; w2s is not needed.\n\n```python\n{code}\n```\n\n{ending}"
