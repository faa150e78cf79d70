"""Examples of the reference page of walras.experiments."""

# %% setup
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from transformers import BertConfig, BertModel, BertTokenizer

import walras

pairs = [(one, two) for one in ("cat", "dog", "man") for two in ("cat", "dog")]
texts = [f"the {one} {verb} the {two}" for one, two in pairs for verb in ("sees", "saw")]
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog", "man", "sees", "saw"]
tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
torch.manual_seed(0)
sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
model = BertModel(BertConfig(vocab_size=len(words), **sizes)).eval()

folder = Path(mkdtemp())  # the same model by name, and the texts as a file
model.save_pretrained(folder / "model")
tokenizer.save_pretrained(folder / "model")
(folder / "my.txt").write_text("\n".join(texts))
named = {"model": str(folder / "model"), "data": str(folder / "my.txt"), "task": "text", "block": 16}
plain = {"recipe": "none", "valuation": "magnitude", "rounds": 1}

# %% run, walras.Outcome
import walras

result = walras.run(model, tokenizer, texts, budget=0.5, block=16, out="runs/mine")  # recipe walras
print(type(result).__name__, result.metric.name, result.summary.status, f"{result.summary.used:.3f} of 0.5")
small = result.compact()
print(sum(p.numel() for p in model.parameters()), "->", sum(p.numel() for p in small.parameters()), "parameters")
print(sorted(path.name for path in Path("runs/mine").iterdir()))

# %% open_market
import walras

market = walras.open_market(model, tokenizer, texts, budget=0.5, rounds=2, block=16)
for _ in market.remaining():
    market.step()
print(market.frame[["round", "used"]].round(3).to_string(index=False))

# %% compare, paired_statistics
import walras

table = walras.compare(
    {"mechanism": ["ShadowPrice", "AscendingClock"]},
    seeds=2,
    model=str(folder / "model"),
    data=str(folder / "my.txt"),
    task="text",
    recipe="magnitude",
    block=16,
)
print(table[["mechanism", "budget", "seed", "used", "status"]].round(3).to_string(index=False))
found = walras.paired_statistics(table, against="mechanism=ShadowPrice")
print(found[["mechanism", "budget", "seeds", "pairs"]].to_string(index=False))

# %% Recipe
import walras

mine = walras.Recipe("The size of the weights, in one round.", {"valuation": "magnitude", "rounds": 1})
result = walras.run(model, tokenizer, texts, budget=0.5, block=16, recipe=mine)
print(result.summary.valuation, result.summary.rounds)

# %% Task
import walras
from walras.experiments.tasks.base import tokenized
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.losses import Embeddings


class Size(walras.Task):
    """How large are a network's outputs? A task that shows the five things that every task has."""

    name, metric = "size", "mean output"

    def pool(self):
        return [Example(text) for text in texts]

    def objective(self, model, label_free):
        return Embeddings()

    def batch(self, tokenizer, examples, length):
        return tokenized(tokenizer, [example.first for example in examples], None, length)

    def evaluate(self, model, tokenizer, reference, *, batch_size, length):
        with torch.no_grad():
            return float(model(**self.batch(tokenizer, self.pool(), length)).last_hidden_state.abs().mean())


result = walras.run(model, tokenizer, Size(), budget=0.5, block=16, recipe="magnitude")
print(result.metric.name, round(result.metric.dense, 3), round(result.metric.value, 3))

# %% TASKS
from walras.experiments.tasks import TASKS

print(", ".join(TASKS))
print(TASKS.make("pairs").metric)

# %% train, TrainConfig
import walras

config = walras.TrainConfig.parse(
    {
        "model": str(folder / "model"), "task": "pairs", "limit": 16, "budget": 0.5, "epochs": 2, "batch_size": 8,
        "block": 16, "length": 16, "sentences": 8, "device": "cpu",
    }
)  # fmt: skip
trained = walras.train(config)
print(type(trained).__name__, "of", config.budget, "of the compute")

# %% Price
import copy

import torch
import walras

batch = dict(tokenizer(texts, padding=True, return_tensors="pt"))
trained = copy.deepcopy(model).train()
optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-3)
price = walras.Price(trained, optimizer, steps=8, batches=[batch], budget=0.5, block=16)
for _ in range(8):
    loss = trained(**batch).last_hidden_state.square().mean() + price.penalty()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    price.step()
print({name: round(value, 3) for name, value in price.figures().items()})
trained.save_pretrained("half")  # the smaller network

# %% PriceCallback
import walras
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments

classifier = AutoModelForSequenceClassification.from_pretrained(folder / "model", num_labels=2)
rows = [{**tokenizer(text), "labels": number % 2} for number, text in enumerate(texts)]
sizes = {"max_steps": 8, "per_device_train_batch_size": 4, "logging_steps": 4}
arguments = TrainingArguments("fine-tuned", report_to=[], use_cpu=True, **sizes)
callback = walras.PriceCallback(budget=0.5, block=16)
trainer = Trainer(classifier, arguments, train_dataset=rows, processing_class=tokenizer, callbacks=[callback])
trainer.train()
trainer.save_model("half-classifier")
print(walras.load_model("half-classifier").num_parameters(), "of", callback.price.priced.dense.num_parameters())

# %% sparsify, read_token_trace
import walras
from transformers import LlamaConfig, LlamaForCausalLM

shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
config = LlamaConfig(vocab_size=len(words), num_key_value_heads=2, bos_token_id=2, eos_token_id=3, **shape)
decoder = LlamaForCausalLM(config)
sparse = walras.sparsify(decoder.eval(), tokenizer, " ".join(texts * 8), budget=0.7, length=32, sequences=4, limit=2)
print(f"a token spends {sparse.summary.measured:.2f} of the dense multiplications")
sparse.save("fast", trace=True)
bought = walras.read_token_trace("fast").groupby("map", observed=True)[["kept", "offered"]].sum()
print((bought["kept"] / bought["offered"]).round(2).to_dict())

# %% ExecutorSource, EXECUTORS, parse_executor
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from walras.experiments.executors import EXECUTORS, ExecutorSource, parse_executor


@dataclass(frozen=True)
class Threads(ExecutorSource):
    """Threads of this process."""

    @contextmanager
    def open(self):
        with ThreadPoolExecutor(2) as executor:
            yield executor


print(list(EXECUTORS), parse_executor("serial"))
print(parse_executor(Threads()))

# %% outcomes, walras.experiments.executors.Outcome
from walras.experiments.executors import outcomes


def job(number):
    """Fails for one of the numbers."""
    return 1 / (number - 2)


for outcome in outcomes("serial", job, [1, 2, 3]):
    print(outcome.item, "done" if outcome.error is None else outcome.error.strip().splitlines()[-1])

# %% Problem, threshold_label, read_problems
import json

from walras.experiments.queries.predictors import Problem, read_problems, threshold_label

problem = Problem("2 + 2", tokens=(120, 90, 400), correct=(True, True, False), censored=(False, False, False))
print(threshold_label(problem))  # tokens within which an answer was right
samples = [{"tokens": 120, "correct": True}]
Path("traces.jsonl").write_text(json.dumps({"text": "2 + 2", "samples": samples}))
print(read_problems(Path("traces.jsonl"))[0].tokens)

# %% Predictor, Ridge, FittedPredictor, FittedRidge, Prediction, PREDICTORS, save_predictor, load_predictor, check_place
from walras.experiments.queries.predictors import PREDICTORS, Ridge, check_place, load_predictor, save_predictor

questions = [f"add {'one and ' * number}one" for number in range(1, 21)]
fitted = Ridge(size=64).fit(questions, np.arange(1.0, 21.0) * 50, cap=2000)
print([round(t) for t in fitted.predict(["add one and one", "add one and one and one and one"]).threshold])
check_place(Path("predictor"))  # refuses a folder that holds anything else
save_predictor(fitted, Path("predictor"))
print(type(load_predictor(Path("predictor"))).__name__, list(PREDICTORS))

# %% evaluate, Fit, figures
from walras.experiments.queries.predictors import Prediction, evaluate, figures

truth = np.array([100.0, 200.0, 400.0, np.inf])  # the last one has no answer
fit = evaluate(Prediction(np.array([120.0, 180.0, 500.0, 300.0]), np.array([0.9, 0.9, 0.8, 0.2])), truth)
print(fit.problems, fit.solved, round(fit.spearman, 2), sorted(figures(fit))[:3])

# %% Encoder
from walras.experiments.queries.predictors import Encoder

print(Encoder(epochs=1))  # a sentence encoder with a head; `walras learn --predictor encoder:epochs=1` trains it

# %% MarketModel, toy
import walras

market = walras.MarketModel(values=[4, 3, 2, 1], budget=0.5, rounds=2, mechanism="UniformPriceAuction")
while market.running:
    market.step()
print(market)
print(market.trace()[["round", "agent", "bid", "quantity", "price"]].tail(4).to_string(index=False))
print(walras.toy(units=12, layers=3, budget=0.4))

# %% sensitivity
import walras

found = walras.sensitivity({"budget": (0.3, 0.9)}, design="halton:n=4", **named, **plain)
print(found.frame[["output", "setting", "measure"]].to_string(index=False))
print(*found.notes, sep="\n")

# %% calibrate
import walras

found = walras.calibrate({"budget": (0.3, 0.9)}, "used<=0.5", tolerance=0.4, **named, **plain)
print(found.message)

# %% Design, SampledDesign, DESIGNS
from walras.experiments.designs import DESIGNS, Design, SampledDesign

print(*DESIGNS)
halton = DESIGNS.make("halton:n=3")
print(isinstance(halton, Design), isinstance(halton, SampledDesign))
