import json
import re
import tomllib
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoscan.errors import UsageError
from tests.json_values import HUGE, JSON
from tests.training.recipes import tiny_recipe
from training.network import PARTS
from training.recipe import Recipe, load_recipe, shipped_recipes

# What the document gives; "affine" is a shift and a scaling of a size that it leaves open.
DOCUMENTED = {
    "architecture": "resnet18-gray",
    "init": "imagenet",
    "dropout": 0.0,
    "epochs": 10,
    "side_shares": (1.0,),  # one size throughout
    "optimizer": "adamw",
    "learning_rate": 1e-4,
    "schedule": "plateau",
    "flip_share": 0.5,
    "rotation_deg": 10.0,
}
# What the document does not speak of at all is off.
OFF = (
    "kernel_rate", "momentum", "average_decay", "warm_up_share", "label_smoothing", "votes_weight",
    "teacher_weight",
    "brightness", "contrast", "erase_share", "erase_least", "erase_most", "mixup_alpha",
)  # fmt: skip
# What it asks for without a number, or leaves to whoever trains.
OPEN = (
    "seed", "frozen", "batch_size", "sides_px", *(f"rate_{part}" for part in PARTS),
    "weight_decay", "decay_vectors", "clip_norm", "plateau_factor", "plateau_patience",
    "early_stop_patience", "scaling", "shift", "shear_deg", "sharpness", "sharpness_share",
    "autocontrast_share",
)  # fmt: skip


def write(folder: Path, values: str) -> str:
    path = folder / "recipe.toml"
    path.write_text(values, encoding="utf-8")
    return str(path)


def edited(folder: Path, name: str, line: str) -> str:
    """The best recipe with the line of one key replaced."""
    text, count = re.subn(rf"(?m)^{name} = .*$", line, tiny_recipe().as_toml())
    assert count == 1
    return write(folder, text)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_bears_its_files_name(name: str) -> None:
    assert load_recipe(name).name == name


def test_the_recipes_are_shipped() -> None:
    assert set(shipped_recipes()) == {"best", "best-again", "best-small", "documented"}


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_toml_of_a_recipe_gives_it_again(tmp_path, name: str) -> None:
    recipe = load_recipe(name)
    assert load_recipe(write(tmp_path, recipe.as_toml())) == recipe


def test_a_name_with_quotes_and_accents_comes_back(tmp_path) -> None:
    recipe = tiny_recipe(name='„naïve“ "two\\three"', init="C:\\weights.pth")
    assert load_recipe(write(tmp_path, recipe.as_toml())) == recipe


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path) -> None:
    path = write(tmp_path, tiny_recipe().as_toml() + "learning_rat = 1.0\n")
    with pytest.raises(UsageError, match=r"no “learning_rat”.*Did you mean “learning_rate”"):
        load_recipe(path)
    with pytest.raises(UsageError, match=r"no “qqqqq”.$"):
        load_recipe("best", ["qqqqq=1"])


def test_missing_keys_are_named(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"lacks epochs.$"):
        load_recipe(edited(tmp_path, "epochs", ""))
    with pytest.raises(UsageError, match="lacks name, seed, architecture"):
        load_recipe(write(tmp_path, ""))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs=2.5", "epochs takes a whole number, not 2.5"),
        ("epochs=true", "epochs takes a whole number, not True"),
        ("learning_rate=high", "learning_rate takes a number, not 'high'"),
        ("learning_rate=true", "learning_rate takes a number, not True"),
        ("decay_vectors=1", "decay_vectors takes true or false, not 1"),
        ("name=7", "name takes a word, not 7"),
        ("sides_px=48", r"sides_px takes a list such as \[1, 2\], not 48"),
        ("sides_px=[24.5, 48]", "sides_px takes a whole number, not 24.5"),
        ("frozen=[1]", "frozen takes a word, not 1"),
    ],
)
def test_a_value_of_another_type_is_refused(change: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("best", [change])


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        ("epochs=3", "epochs", 3),
        ("learning_rate=1e-3", "learning_rate", 0.001),
        ("votes_weight=2", "votes_weight", 2.0),
        (" seed = 7 ", "seed", 7),
        ('frozen=["stem", "layer1"]', "frozen", ("stem", "layer1")),
        ("schedule=constant", "schedule", "constant"),
        ('schedule="constant"', "schedule", "constant"),
        ("decay_vectors=true", "decay_vectors", True),
        ("init=runs/a=b.pth", "init", "runs/a=b.pth"),
    ],
)
def test_set_changes_one_value(change: str, name: str, value: object) -> None:
    recipe = load_recipe("best", [change])
    assert getattr(recipe, name) == value
    assert type(getattr(recipe, name)) is type(value)
    assert replace(recipe, **{name: getattr(load_recipe("best"), name)}) == load_recipe("best")


def test_set_changes_several_values_and_the_last_word_counts() -> None:
    changes = ["sides_px=[24, 48]", "side_shares=[0.5, 0.5]", "epochs=3", "epochs=5"]
    recipe = load_recipe("best", changes)
    assert (recipe.sides_px, recipe.side_shares, recipe.epochs) == ((24, 48), (0.5, 0.5), 5)


@pytest.mark.parametrize("change", ["epochs", "", "=3"])
def test_set_without_a_key_or_a_value_is_refused(change: str) -> None:
    with pytest.raises(UsageError, match=f"--set takes key=value, not “{change}”"):
        load_recipe("best", [change])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("architecture=resnet18-grey", "Did you mean “resnet18-gray”"),
        ("optimizer=adam", "optimizer takes sgd, adamw, muon, not “adam”"),
        ("schedule=cosine", "schedule takes one-cycle, plateau, constant"),
        ('frozen=["layer5"]', "frozen takes stem"),
        ("flip_share=1.5", "flip_share must lie between 0 and 1, not 1.5"),
        ("dropout=-0.1", "dropout must lie between 0 and 1"),
        ("erase_share=nan", "erase_share must lie between 0 and 1"),
        ("epochs=0", "epochs must be at least 1, not 0"),
        ("batch_size=-1", "batch_size must be at least 1"),
        ("learning_rate=0", "learning_rate must be above 0"),
        ("learning_rate=inf", "learning_rate must be a number from 0 on"),
        ("weight_decay=-1", "weight_decay must be a number from 0 on"),
        ("early_stop_patience=-1", "early_stop_patience must be a number from 0 on"),
        ("seed=-1", "seed must be a number from 0 on"),
        (f"seed={2**63}", "seed must be below 2\\*\\*63"),
        ("erase_least=0.9", "erase_least must not exceed erase_most"),
        ("sides_px=[]", "equally many, and at least one"),
        ("sides_px=[24, 48]", "equally many"),
        ("sides_px=[16, 24, 32, 48]", "sides_px must be at least 24"),
        ("sides_px=[24, 28, 32, 40]", "sides_px must end with 48.*not with 40"),
        ("side_shares=[0.5, 0.5, 0.5, 0.5]", "side_shares must sum to 1, not 2"),
        ("side_shares=[1.5, -0.5, 0.0, 0.0]", "side_shares must be from 0 on, not -0.5"),
    ],
)
def test_a_senseless_value_is_refused(change: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("best", [change])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["schedule=plateau"], "plateau_factor must be below 1"),
        ([f"frozen={list(PARTS)}".replace("'", '"')], "frozen must leave one part to train"),
    ],
)
def test_values_that_do_not_go_together_are_refused(changes: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe("best", changes)


def test_what_is_no_recipe_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"best, documented.*not “bset”. Did you mean “best”"):
        load_recipe("bset")
    with pytest.raises(UsageError, match=r"absent.toml cannot be read: No such file"):
        load_recipe(str(tmp_path / "absent.toml"))
    with pytest.raises(UsageError, match="is not TOML"):
        load_recipe(write(tmp_path, "epochs: 3"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not TOML"):
        load_recipe(str(tmp_path / "binary.toml"))


def recipe_or_refused(path: Path, content: bytes) -> None:
    """A recipe that can be written and read again, or UsageError."""
    path.write_bytes(content)
    with suppress(UsageError):
        recipe = load_recipe(str(path))
        path.write_text(recipe.as_toml(), encoding="utf-8")
        assert load_recipe(str(path)) == recipe


def as_toml(values: object) -> str:
    """As a recipe writes itself: JSON's values on the right."""
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())


WHOLE = shipped_recipes()["best"].read_bytes()
CHANGES = st.dictionaries(st.sampled_from([field.name for field in fields(Recipe)]), JSON)


@given(st.binary(max_size=80) | CHANGES.map(lambda values: as_toml(values).encode()))
@settings(deadline=None)
def test_whatever_a_file_holds(tmp_path_factory, content) -> None:
    recipe_or_refused(tmp_path_factory.getbasetemp() / "any.toml", content)


@given(CHANGES)
@settings(deadline=None)
def test_whatever_a_recipe_is_changed_to(tmp_path_factory, changes) -> None:
    whole = tomllib.loads(WHOLE.decode()) | changes
    recipe_or_refused(tmp_path_factory.getbasetemp() / "any.toml", as_toml(whole).encode())


@pytest.mark.parametrize(
    "line",
    [
        f"learning_rate = {HUGE}",
        f"seed = {HUGE}",
        f"seed = {'9' * 5_000}",
        f"sides_px = [{HUGE}]",
        "frozen = " + "[" * 9_000 + "]" * 9_000,
        "epochs.x = 1",
    ],
)
def test_toml_that_nothing_can_be_done_with(tmp_path, line) -> None:
    name = re.match(r"\w+", line)[0]
    whole = re.sub(rf"^{name} = .*$", lambda _: line, WHOLE.decode(), flags=re.MULTILINE)
    (tmp_path / "a.toml").write_text(whole)
    with pytest.raises(UsageError):
        load_recipe(str(tmp_path / "a.toml"))


def test_the_side_grows_over_the_epochs() -> None:
    recipe = tiny_recipe(epochs=10, sides_px=(24, 32, 48), side_shares=(0.3, 0.5, 0.2))
    assert [recipe.side_px(epoch) for epoch in range(10)] == [24] * 3 + [32] * 5 + [48] * 2


@pytest.mark.parametrize(
    ("epochs", "sides"), [(1, [48]), (2, [24, 48]), (3, [24, 24, 48]), (4, [24, 24, 24, 48])]
)
def test_the_last_epoch_has_the_last_side(epochs: int, sides: list[int]) -> None:
    recipe = tiny_recipe(epochs=epochs, sides_px=(24, 48), side_shares=(0.95, 0.05))
    assert [recipe.side_px(epoch) for epoch in range(epochs)] == sides


def test_the_documented_recipe_keeps_what_the_document_gives() -> None:
    recipe = load_recipe("documented")
    assert {name: getattr(recipe, name) for name in DOCUMENTED} == DOCUMENTED
    assert {name: getattr(recipe, name) for name in OFF} == dict.fromkeys(OFF, 0.0)


def test_the_documented_recipe_does_all_that_the_document_asks_for() -> None:
    """Freezing, differential rates, clipping, the plateau, early stopping, each random change."""
    recipe = load_recipe("documented")
    rates = [getattr(recipe, f"rate_{part}") for part in PARTS]
    assert recipe.frozen and set(recipe.frozen) < set(PARTS)
    assert rates == sorted(rates) and rates[0] < rates[-1]
    assert recipe.clip_norm > 0
    assert 0 < recipe.plateau_factor < 1 and recipe.plateau_patience < recipe.early_stop_patience
    assert 0 < recipe.early_stop_patience < recipe.epochs
    assert recipe.scaling > 0 and recipe.shift > 0
    assert recipe.sharpness > 0 and recipe.sharpness_share > 0 and recipe.autocontrast_share > 0


def test_the_documented_recipe_says_what_is_ours() -> None:
    text = shipped_recipes()["documented"].read_text(encoding="utf-8")
    marked = {
        line.split(" = ")[0]
        for line in text.splitlines()
        if not line.startswith("#") and "ours" in line.partition("#")[2]
    }
    assert marked == set(OPEN)


def test_every_line_of_the_documented_recipe_is_given_open_or_off() -> None:
    names = {field.name for field in fields(Recipe)}
    assert names == {"name", "teacher", *DOCUMENTED, *OFF, *OPEN}
    shipped = tomllib.loads(shipped_recipes()["documented"].read_text(encoding="utf-8"))
    assert names == set(shipped)
