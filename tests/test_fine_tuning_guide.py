"""The code of the fine-tuning guide runs, and its models are better than chance."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Checks of the guide's own variables at its end.
CHECKS = """
assert taxa_metrics["eval_order"] > 0.7, taxa_metrics
assert taxa_metrics["eval_family"] > 0.4, taxa_metrics
assert taxa_metrics["eval_genus"] > 0.3, taxa_metrics
true = torch.tensor(tag_predictions.label_ids) == 1
assert probabilities[true].mean() > 10 * probabilities[~true].mean()
assert order_metrics["eval_loss"] < np.log(len(names)) / 2, order_metrics

again = AutoModelForSequenceClassification.from_pretrained("runs/taxa", trust_remote_code=True).eval()
first = {name: values[0] for name, values in tokenize({"nucleotides": [test["nucleotides"][0]]}).items()}
batch = collator([first])
with torch.inference_mode():
    expected = taxa_model.eval()(**batch).logits
    torch.testing.assert_close(again(**batch).logits, expected)

adapted = PeftModel.from_pretrained(
    AutoModelForSequenceClassification.from_pretrained(checkpoint, **order_settings), "runs/orders"
).eval()
with torch.inference_mode():
    torch.testing.assert_close(merged(**batch).logits, adapted(**batch).logits, atol=1e-4, rtol=1e-4)
saved = AutoModelForSequenceClassification.from_pretrained("runs/orders_merged", trust_remote_code=True).eval()
with torch.inference_mode():
    torch.testing.assert_close(merged(**batch).logits, saved(**batch).logits)

assert long_probabilities.shape == (2, len(names))
torch.testing.assert_close(long_probabilities.sum(1), torch.ones(2))
with torch.inference_mode():
    alone = merged(**tokenizer(long_sequences[1], return_tensors="pt")).logits.softmax(1)
torch.testing.assert_close(long_probabilities[1], alone[0], atol=1e-5, rtol=1e-4)
"""


@pytest.mark.slow
def test_guide_runs(tmp_path):
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
