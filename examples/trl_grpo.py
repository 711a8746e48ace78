"""GRPO by TRL on a medenv environment: `python examples/trl_grpo.py [MODEL] [STEPS]`.

TRL plays the episodes, with the environment's tools as the model's tools, and asks the environment
for the reward. The model is the tiny policy of this repository unless another is named: enough to
see everything run on two cores, too small to learn from this prompt. It needs
`pip install trl jmespath`.
"""

import sys
import tempfile

from datasets import Dataset
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import qwen3_chat_template

from medenv.integrations.trl import medenv_environment, rows

MODEL = sys.argv[1] if len(sys.argv) > 1 else "models/tiny_policy"
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 2
WORLD = {"tools": {"search": {"k": 1, "snippet_chars": 80}}}

tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="left")
if "tools" not in (tokenizer.chat_template or ""):
    tokenizer.chat_template = qwen3_chat_template  # a template that shows tools
with tempfile.TemporaryDirectory() as folder:
    trainer = GRPOTrainer(
        model=MODEL,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows("train", **WORLD)),
        environment_factory=medenv_environment(**WORLD),
        args=GRPOConfig(
            output_dir=folder,
            max_steps=STEPS,
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=32,
            max_tool_calling_iterations=2,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
        ),
    )
    trainer.train()
for line in trainer.state.log_history:
    if "reward" in line:
        print(f"step {line['step']:.0f}: reward {line['reward']:.3f}")
