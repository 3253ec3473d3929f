"""The guide to fine-tuning runs as it stands, and what it trains has learnt something."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What the guide's own variables have to hold at its end.
CHECKS = """
assert of_taxa["eval_order"] > 0.7 and of_taxa["eval_family"] > 0.4 and of_taxa["eval_genus"] > 0.3, of_taxa
true = torch.tensor(of_tags.label_ids) == 1
assert probabilities[true].mean() > 10 * probabilities[~true].mean()
assert of_orders["eval_loss"] < np.log(len(names)) / 2, of_orders

again = AutoModelForSequenceClassification.from_pretrained("runs/taxa", trust_remote_code=True).eval()
first = {name: values[0] for name, values in tokenize({"nucleotides": [test["nucleotides"][0]]}).items()}
batch = collator([first])
with torch.inference_mode():
    expected = taxa_model.eval()(**batch).logits
    torch.testing.assert_close(again(**batch).logits, expected)

adapted = PeftModel.from_pretrained(
    AutoModelForSequenceClassification.from_pretrained(checkpoint, **settings_of_orders), "runs/orders"
).eval()
with torch.inference_mode():
    torch.testing.assert_close(merged(**batch).logits, adapted(**batch).logits, atol=1e-4, rtol=1e-4)
saved = AutoModelForSequenceClassification.from_pretrained("runs/orders_merged", trust_remote_code=True).eval()
with torch.inference_mode():
    torch.testing.assert_close(merged(**batch).logits, saved(**batch).logits)

assert of_long.shape == (2, len(names))
torch.testing.assert_close(of_long.sum(1), torch.ones(2))
with torch.inference_mode():
    alone = merged(**tokenizer(long_sequences[1], return_tensors="pt")).logits.softmax(1)
torch.testing.assert_close(of_long[1], alone[0], atol=1e-5, rtol=1e-4)
"""


@pytest.mark.slow
def test_it_runs_from_beginning_to_end(tmp_path):
    pytest.importorskip("peft")
    blocks = re.findall(r"```(bash|python)\n(.*?)```", (ROOT / "docs" / "fine_tuning.md").read_text(), re.DOTALL)
    shell = "".join(code for language, code in blocks if language == "bash")
    command = ["bash", "-euo", "pipefail", "-c", f'PATH="{Path(sys.executable).parent}:$PATH"\n{shell}']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    code = "".join(code for language, code in blocks if language == "python")
    done = subprocess.run(
        [sys.executable, "-c", code + CHECKS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
